"""How frequent the classes are where a network is used."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fer_lightning.errors import FERError

ClassPrior = Literal["training", "uniform"] | float | Sequence[float]
"""`training`: as in training; `uniform`: all the same; a number: the learned frequencies to that power, made to add up
to 1, so that 1 is `training` and 0 `uniform` (what a logit adjustment of 0.5 has taken away is restored by 2); or the
frequency of each class. A class that the training had no image of stays out of all but `training`: nobody has shown the
network what it looks like."""


NEVER = 1e-6
"""The frequency of a class that is said to be never there: answers can still be moved on from it."""


OUT = 1e-30
"""What the probability of a class without training images is multiplied by: nothing, but its logarithm is a number."""


def check_prior(prior: ClassPrior, class_names: Sequence[str], option: str) -> None:
    """Make sure that a prior fits the classes.

    Raises:
        FERError: If it does not.
    """
    if prior in ("training", "uniform"):
        return
    if isinstance(prior, bool | str):
        fits = False
    elif isinstance(prior, float | int):
        fits = 0 <= prior <= 10
    else:
        known = [value for value in prior if isinstance(value, int | float) and 0 <= value <= 1]
        fits = len(known) == len(prior) == len(class_names) and abs(sum(known) - 1) <= 0.01
    if not fits:
        raise FERError(
            f"Invalid value for {option}. Expected training, uniform, a number from 0 to 10, or {len(class_names)} "
            f"frequencies that add up to 1, of {', '.join(class_names)}. Received: {prior}."
        )


def prior_probabilities(
    prior: ClassPrior, class_names: Sequence[str], learned: Sequence[float], option: str = "--class_prior"
) -> list[float]:
    """The frequency of each class that a prior stands for; `learned` is empty if not known.

    Raises:
        FERError: If the prior does not fit the classes, or the learned one is needed and not known.
    """
    check_prior(prior, class_names, option)
    if prior == "training" or prior == 1:
        return list(learned)
    if not learned:
        raise FERError(
            f"{option} needs a model that knows the class frequencies it has learned; this one does not. Expected "
            "training, which leaves its answers as they are."
        )
    if isinstance(prior, str):
        prior = 0.0
    if isinstance(prior, float | int):
        wanted = [value**prior for value in learned]
    else:
        wanted = [max(value, NEVER) for value in prior]
    shown = [value if known > 0 else 0.0 for value, known in zip(wanted, learned, strict=True)]
    return shown if all(learned) and not isinstance(prior, float | int) else [value / sum(shown) for value in shown]


def prior_ratio(
    prior: ClassPrior, class_names: Sequence[str], learned: Sequence[float], option: str = "--class_prior"
) -> np.ndarray | None:
    """What probabilities are multiplied by, before they are made to add up to 1 again (Saerens et al. 2002, eq. 2.4).

    Returns:
        float32 `(classes,)`, or None where nothing changes.

    Raises:
        FERError: If the prior does not fit the classes, or the learned one is needed and not known.
    """
    wanted = prior_probabilities(prior, class_names, learned, option)
    if wanted == list(learned):
        return None
    known, sought = np.array(learned, np.float32), np.array(wanted, np.float32)
    return np.divide(sought, known, out=np.full_like(known, OUT), where=known > 0)
