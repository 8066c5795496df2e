"""What is in a data set, what is wrong with it, what to do about it: one check a file."""
