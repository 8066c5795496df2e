"""What a checkpoint says, and how it is read and written."""
