"""Annotators' votes as targets of the training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from fer_lightning.data.legend import Legend
from fer_lightning.errors import FERError


def vote_distribution(legend: Legend, rows: np.ndarray) -> Tensor:
    """The fraction of the votes for each class (label distribution learning, arXiv 1608.01041).

    Args:
        legend: It has votes.
        rows: int64 `(n,)`, which of its rows. Where the votes do not favour the label, as after --data.relabel, the
            label stands alone.

    Returns:
        float32 `(n, classes)`; rows add up to 1.

    Raises:
        FERError: If the legend has no votes.
    """
    if legend.votes is None:
        raise FERError(
            f"--data.soft_labels needs a column of votes for each class ({', '.join(legend.class_names)}) in "
            f"{legend.path}."
        )
    votes = torch.from_numpy(legend.votes[rows])
    labelled = torch.from_numpy(legend.labels[rows])
    favoured = votes.gather(1, labelled[:, None]) >= votes.amax(1, keepdim=True)
    return torch.where(favoured, votes / votes.sum(1, keepdim=True), one_hot(labelled, votes.shape[1]).float())
