"""Data sets in the forms people have them, each turned into a Legend."""
