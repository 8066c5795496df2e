"""Networks: batches of normalised images in, logits out."""

from fer_lightning.networks.expression_cnn import ExpressionCNN

__all__ = ["ExpressionCNN"]
