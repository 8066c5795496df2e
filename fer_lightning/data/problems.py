"""What is wrong with the rows of a data set, in one message."""

from collections.abc import Callable, Sequence

from fer_lightning.data.legend import Problem
from fer_lightning.names import one_line

_SHOWN = 20
REMEDY = "\nCorrect them, or leave them out with --data.on_error drop."


def listed_problems(problems: Sequence[Problem], place: Callable[[int], str]) -> str:
    """The first 20 problems, each with its place, and how many there are."""
    more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    shown = [
        f"{one.file}:{one.number}: {said}" if one.file else f"{place(one.number)}: {said}"
        for one in problems[:_SHOWN]
        for said in [one_line(one.message, 500)]
    ]
    noun = "problem" if len(problems) == 1 else "problems"
    return f"{len(problems)} {noun} in the legend:\n  " + "\n  ".join(shown) + more + REMEDY
