"""Training losses, one a file. Validation and test always use plain cross-entropy.

Any `torch.nn.Module` that makes a scalar of logits and targets, both float `(n, classes)`, is a loss. One that has
`learned_prior`, as `CrossEntropy` does, says which class frequencies a network learns from it; of others that is not
known, and what needs it (`class_prior`, `estimate_prior`, a teacher) is refused.
"""

from fer_lightning.training.losses.cross_entropy import CrossEntropy
from fer_lightning.training.losses.focal import FocalLoss
from fer_lightning.training.losses.weighted import WeightedCrossEntropy

__all__ = ["CrossEntropy", "FocalLoss", "WeightedCrossEntropy"]
