"""What is a checkpoint worth? Measures, intervals, slices and the report that shows them."""
