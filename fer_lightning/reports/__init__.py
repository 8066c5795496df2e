"""What turns measures into pages and cards."""
