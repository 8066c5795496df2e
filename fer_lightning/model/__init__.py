"""A trained model in plain torch."""
