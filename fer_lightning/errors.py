"""The one exception for mistakes that a user can make and mend."""

import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

_PACKAGE = os.path.dirname(__file__) + os.sep


_OF_WORKER = re.compile(r"Caught \w+ in DataLoader worker .*?\nfer_lightning[\w.]*: (.*)", re.DOTALL)
"""How torch raises what a process that loads batches has raised: with its traceback in front of what it says."""


class FERError(Exception):
    """Something the user can put right: the message says where, what was expected, what was found, what to do.

    The command line prints the message alone, without a traceback, and ends with exit status 2. A cell of a notebook
    shows the message alone too; `%debug` has the rest.
    """

    def __init__(self, *args: object) -> None:
        if args and isinstance(args[0], str) and (said := _OF_WORKER.match(args[0])):
            args = (said[1].rstrip(), *args[1:])
        super().__init__(*args)

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython and Jupyter show instead of a traceback: a protocol of theirs."""
        return [f"{type(self).__name__}: {self}", *getattr(self, "__notes__", ())]


class MissingPackageError(FERError):
    """A package that is not installed, as it is needed for this alone: the message has the command that installs it."""


def check_range(option: str, value: float, least: float, most: float = inf) -> None:
    """Raise an FERError if the value of an option is below `least`, above `most` or not a finite number."""
    number = isinstance(value, int | float)  # null comes through parsers
    if not (number and least <= value <= most and -inf < value < inf):  # NaN is neither; a huge int is no float
        low, high = (f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" for bound in (least, most))
        expected = f"{low} or more" if most == inf else f"{low} to {high}"
        raise FERError(f"Invalid value for {option}. Expected {expected}. Received: {value}.")


@contextmanager
def constructing(option: str = "") -> Iterator[None]:
    """Turn what classes raise against the values of options, which parsers wrap, into one message.

    Args:
        option: The option that is for the class, where it is one.

    Raises:
        FERError: That of the class itself, or one that names it and where that happened.
    """
    try:
        yield
    except (ValueError, TypeError, ArithmeticError, AssertionError, LookupError, RuntimeError, AttributeError) as error:
        cause: BaseException = error  # not the context: that may be what a caller of ours was at
        while cause.__cause__ and not isinstance(cause, FERError) and not _is_of_parser(cause.__cause__):
            cause = cause.__cause__
        if isinstance(cause, FERError):
            raise cause from None
        frames = [frame for frame, _ in traceback.walk_tb(cause.__traceback__)]
        last = frames[-1].f_code
        if last.co_filename.startswith(_PACKAGE) and last.co_name != "__init__":  # a mistake of ours
            raise
        made = [frame for frame in frames if frame.f_code.co_name == "__init__" and "self" in frame.f_locals]
        name = type(made[0].f_locals["self"]).__name__ if made else "A class"
        place = f"{os.path.basename(last.co_filename)}, line {frames[-1].f_lineno}"
        whose = f"{option}: {name}" if option else name
        said = str(cause).partition("\nGiven value type")[0]  # jsonargparse repeats all that it was given
        raise FERError(f"{whose} does not take these values: {said} ({type(cause).__name__} in {place}).") from error


def _is_of_parser(error: BaseException) -> bool:
    """Whether jsonargparse raised an error: of what it tried in turn, it names the first failure as the cause."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and "jsonargparse" in frames[-1].f_code.co_filename
