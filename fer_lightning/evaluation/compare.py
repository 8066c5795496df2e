"""The difference between two networks' predictions on the same images, and whether it is more than luck."""

from math import comb
from typing import Any

from fer_lightning.evaluation.bootstrap import DRAWS, interval, weights_of
from fer_lightning.evaluation.predictions import Predictions


def compared(first: Predictions, other: Predictions) -> dict[str, Any]:
    """Measure two networks on the same images, in the same order.

    Returns:
        `metrics` of the other; `differences` (other less first) with 95 % intervals from a bootstrap that redraws the
        same people for both, NaN if there is only one person; how many images each alone has right; `mcnemar_p`.
    """
    one, two = first.measures, other.measures
    draws = [(one.values(weights), two.values(weights)) for weights in weights_of(first.identities, DRAWS)]
    before, after = one.values(), two.values()
    differences = {}
    for name in after:
        low, high = interval([theirs[name] - ours[name] for ours, theirs in draws])
        differences[name] = {"value": after[name] - before[name], "low": low, "high": high}
    only_first, only_other = int((one.right & ~two.right).sum()), int((two.right & ~one.right).sum())
    return {
        "metrics": after,
        "differences": differences,
        "only_first_right": only_first,
        "only_this_right": only_other,
        "mcnemar_p": mcnemar(only_first, only_other),
    }


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value for two classifiers that alone are right this often (McNemar 1947, binomial form)."""
    total, fewer = only_first + only_second, min(only_first, only_second)
    tail: float = sum(comb(total, k) for k in range(fewer + 1)) / 2**total
    return min(1.0, 2 * tail)
