"""How frequent the classes are where a network is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from fer_lightning.errors import FERError

ClassPrior = Literal["training", "uniform"] | Sequence[float]


def prior_ratio(
    prior: ClassPrior, class_names: Sequence[str], learnt: Sequence[float], option: str = "--class_prior"
) -> Tensor | None:
    """What probabilities are multiplied by, before they are made to add up to 1 again (Saerens et al. 2002, eq. 2.4).

    Args:
        prior: `training`, `uniform`, or the share of each class.
        class_names: Names of the classes.
        learnt: The shares that the network has learnt; empty if not known.
        option: The name of the option, for messages.

    Returns:
        float `(classes,)`, or None where nothing changes.

    Raises:
        FERError: If the shares do not fit the classes, or those in training are not known.
    """
    shares = prior_shares(prior, class_names, option)
    if shares is None:
        return None
    if not learnt:
        raise FERError(f"{option} needs a model that knows the class shares in its training; this one does not.")
    return torch.tensor(shares).clamp(min=1e-6) / torch.tensor(learnt)


def prior_shares(prior: ClassPrior, class_names: Sequence[str], option: str = "--class_prior") -> list[float] | None:
    """The share of each class, or None for those in training.

    Raises:
        FERError: If the shares do not fit the classes.
    """
    if prior == "training":
        return None
    count = len(class_names)
    given = [1 / count] * count if prior == "uniform" else list(prior)
    shares = [float(share) for share in given if isinstance(share, int | float) and 0 <= share <= 1]
    if len(shares) != count or abs(sum(shares) - 1) > 0.01:
        raise FERError(
            f"Invalid value for {option}. Expected training, uniform, or {count} shares that add up to 1, of "
            f"{', '.join(class_names)}. Received: {prior}."
        )
    return shares
