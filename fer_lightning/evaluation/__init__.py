"""What predictions are worth: measures, intervals, slices, differences; numbers only."""
