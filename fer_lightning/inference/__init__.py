"""A checkpoint at work on new images."""
