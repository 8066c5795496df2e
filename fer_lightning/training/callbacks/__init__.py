"""What happens around training, one callback a file."""
