"""A trained model as a file of its own, compared with the original."""
