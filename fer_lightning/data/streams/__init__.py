"""Data sets as streams: decoded faces in chunks of LitData's form, in a folder or behind an address."""
