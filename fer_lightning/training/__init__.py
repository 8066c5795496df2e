"""What trains a model, with Lightning."""
