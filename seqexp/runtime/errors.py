"""The error that a user can mend."""


class UserError(Exception):
    """A mistake of the user's, told in one line: the key or file, its value, and what would be right.

    Commands print it without a stack trace and exit with its status.
    """

    exit_status = 2
    told = False
    """Somebody has shown it already: commands only exit."""


class ProcessError(UserError):
    """A process could not go on, told in one line; not a mistake of the user's: it ran out of memory, or was one of
    several of a job of which one has failed."""

    exit_status = 1
