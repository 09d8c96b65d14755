"""The one exception that a user is meant to read."""


class CausalMixError(Exception):
    """Something the user can mend: the message names the thing and says what to do.

    Pages show it as a message and the command line prints it without a traceback. Anything else that
    is raised is a bug.
    """
