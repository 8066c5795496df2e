"""From `legend.csv` to batches."""
