"""Networks: from normalised images to logits."""

from fer_lightning.networks.compact_resnet import CompactResNet
from fer_lightning.networks.expression_cnn import ExpressionCNN
from fer_lightning.networks.rebuilding import Rebuildable
from fer_lightning.networks.timm_model import TimmModel
from fer_lightning.networks.torchvision_model import TorchvisionModel

__all__ = ["CompactResNet", "ExpressionCNN", "Rebuildable", "TimmModel", "TorchvisionModel"]
