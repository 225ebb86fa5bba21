"""The one exception type for mistakes that a user can mend."""


class UserError(Exception):
    """One sentence for the person at the keyboard: which file, what was found, what was expected.

    Commands print it without a traceback and exit with code 2; every other exception keeps its traceback.
    """
