"""The one exception for mistakes that a user can make and mend."""


class FERError(Exception):
    """Something the user can put right: the message says where, what was expected, what was found, what to do.

    The command line prints the message alone, without a traceback, and ends with exit status 2.
    """
