"""The one exception for mistakes that a user can make and mend."""

from math import inf


class FERError(Exception):
    """Something the user can put right: the message says where, what was expected, what was found, what to do.

    The command line prints the message alone, without a traceback, and ends with exit status 2.
    """


def check_range(option: str, value: float, least: float, most: float = inf) -> None:
    """Raise an FERError if the value of an option is below `least`, above `most` or not a finite number."""
    number = isinstance(value, int | float)  # null comes through parsers
    if not (number and least <= value <= most and -inf < value < inf):  # NaN is neither; a huge int is no float
        low, high = (f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" for bound in (least, most))
        expected = f"{low} or more" if most == inf else f"{low} to {high}"
        raise FERError(f"Invalid value for {option}. Expected {expected}. Received: {value}.")
