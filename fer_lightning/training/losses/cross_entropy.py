"""Cross-entropy with label distributions, label smoothing, logit adjustment."""

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from fer_lightning.data.data_info import TrainingData
from fer_lightning.errors import FERError, check_range


class CrossEntropy(nn.Module):
    """Mean cross-entropy between target distributions and answers.

    Where classes are drawn unequally, the network is not to learn how often they are drawn but how frequent they are:
    logits get the log of the draws (as in arXiv 2007.07314), and targets are multiplied by the draws, so that the loss
    is least for the targets themselves. A target of one class stays as it is.

    Args:
        label_smoothing: Fraction of every target that is spread over all classes (arXiv 1512.00567, section 7).
        logit_adjustment: Strength tau of the logit adjustment: tau times the log of the class frequency is added to its
            logit in training, so that the network need not learn the frequencies (arXiv 2007.07314, equation 10). 1
            aims at balanced accuracy, 0 at accuracy.

    Raises:
        FERError: If a value is out of its range.
    """

    counts: Tensor
    draws: Tensor

    def __init__(self, label_smoothing: float = 0.0, logit_adjustment: float = 0.0) -> None:
        super().__init__()
        check_range("--model.loss.label_smoothing", label_smoothing, 0, 0.999)
        check_range("--model.loss.logit_adjustment", logit_adjustment, 0, 10)
        self.label_smoothing, self.logit_adjustment = label_smoothing, logit_adjustment
        self.needs_counts = logit_adjustment > 0
        self._target_prior: list[float] = []
        for name in ("counts", "draws"):
            self.register_buffer(name, torch.zeros(0), persistent=False)

    def prepare(self, training: TrainingData) -> None:
        """Get to know what is trained on; an FERError if the images of each class are not counted but needed."""
        self.counts, self.draws = (self.counts.new_tensor(each) for each in (training.class_counts, training.draws))
        self._target_prior = list(training.target_prior)
        if self.needs_counts and not self.counts.numel():
            raise FERError(
                f"--model.loss {type(self).__name__} with these values needs the number of training images of each "
                "class: train with FERDataModule, or give ExpressionClassifier a DataInfo with class_counts."
            )

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, a float scalar.

        Args:
            logits: float `(n, classes)`.
            targets: float `(n, classes)`, rows that add up to 1.
        """
        logits = logits.float()
        if self.logit_adjustment:
            logits = logits + self.logit_adjustment * (self.counts.clamp(min=0.5) / self.counts.sum()).log()
        if self.label_smoothing:
            targets = targets * (1 - self.label_smoothing) + self.label_smoothing / targets.shape[1]
        if self.draws.numel():
            logits = logits + self.draws.log()
            targets = targets * self.draws
            targets = targets / targets.sum(1, keepdim=True)
        log_probabilities = log_softmax(logits, 1)
        return self.weigh(-targets * log_probabilities, log_probabilities).sum(1).mean()

    def weigh(self, terms: Tensor, log_probabilities: Tensor) -> Tensor:
        """Weigh the terms of the sum over classes; both float `(n, classes)`. Here they stay as they are."""
        return terms

    def learned_prior(self) -> list[float]:
        """The class frequencies that a network trained with this has learned; empty if they are not known."""
        if not self._target_prior:
            return []
        prior, counts = self.weighted_prior(torch.tensor(self._target_prior)), self.counts.cpu()
        if counts.numel():
            least = 0.5 / counts.sum()
            prior = prior.clamp(min=least) / (counts / counts.sum()).clamp(min=least) ** self.logit_adjustment
            prior = prior * ((counts > 0) | (torch.tensor(self._target_prior) > 0))  # never shown, never learned
        found: list[float] = (prior / prior.sum()).tolist()
        return found

    def weighted_prior(self, prior: Tensor) -> Tensor:
        """What label smoothing makes of the frequencies of the targets, both float `(classes,)`; not added up to 1."""
        return prior * (1 - self.label_smoothing) + self.label_smoothing / len(prior)
