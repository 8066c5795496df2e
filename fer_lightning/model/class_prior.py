"""How frequent the classes are where a network is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from fer_lightning.errors import FERError

ClassPrior = Literal["training", "uniform"] | float | Sequence[float]
"""`training`: as in training; `uniform`: all the same; a number: the shares in training to that power, made to add up
to 1, so that 1 is `training` and 0 `uniform` (shares learnt with a logit adjustment of 0.5 are made whole by 2); or the
share of each class."""


NEVER = 1e-6
"""The share of a class that is said to be never there: answers can still be moved on from it."""


def check_prior(prior: ClassPrior, class_names: Sequence[str], option: str) -> None:
    """Make sure that a prior fits the classes.

    Raises:
        FERError: If it does not.
    """
    if prior in ("training", "uniform"):
        return
    if isinstance(prior, float | int):
        fits = 0 <= prior <= 10
    else:
        shares = [share for share in prior if isinstance(share, int | float) and 0 <= share <= 1]
        fits = len(shares) == len(prior) == len(class_names) and abs(sum(shares) - 1) <= 0.01
    if not fits:
        raise FERError(
            f"Invalid value for {option}. Expected training, uniform, a number from 0 to 10, or {len(class_names)} "
            f"shares that add up to 1, of {', '.join(class_names)}. Received: {prior}."
        )


def prior_shares(
    prior: ClassPrior, class_names: Sequence[str], known: Sequence[float], option: str = "--class_prior"
) -> list[float]:
    """The share of each class that a prior stands for.

    Args:
        prior: See `ClassPrior`.
        class_names: Names of the classes.
        known: The shares in training; empty if not known, which is what `training` gives then.
        option: The name of the option, for messages.

    Raises:
        FERError: If the prior does not fit the classes, or those in training are needed and not known.
    """
    check_prior(prior, class_names, option)
    if prior == "training" or prior == 1:
        return list(known)
    if not known:
        raise FERError(f"{option} needs a model that knows the class shares in its training; this one does not.")
    if isinstance(prior, str):
        return [1 / len(known)] * len(known)
    if isinstance(prior, float | int):
        powers = [share**prior for share in known]
        return [share / sum(powers) for share in powers]
    return [max(share, NEVER) for share in prior]


def prior_ratio(
    prior: ClassPrior, class_names: Sequence[str], known: Sequence[float], option: str = "--class_prior"
) -> Tensor | None:
    """What probabilities are multiplied by, before they are made to add up to 1 again (Saerens et al. 2002, eq. 2.4).

    Args:
        prior: See `ClassPrior`.
        class_names: Names of the classes.
        known: The shares that the probabilities are for; empty if not known.
        option: The name of the option, for messages.

    Returns:
        float `(classes,)`, or None where nothing changes.

    Raises:
        FERError: If the prior does not fit the classes, or those in training are needed and not known.
    """
    shares = prior_shares(prior, class_names, known, option)
    if shares == list(known):
        return None
    return torch.tensor(shares) / torch.tensor(known)
