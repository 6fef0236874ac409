"""The error that a user can mend."""


class UserError(Exception):
    """A mistake of the user's, told in one line: the key or file, its value, and what would be right.

    Commands print it without a stack trace and exit with status 2.
    """
