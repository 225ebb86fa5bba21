"""What ends a command with one sentence and no traceback; every other exception keeps its own."""

from __future__ import annotations

import signal

EXIT_USER_ERROR = 2
SIGNALLED = 128
"""Exit code of a command that a signal has stopped, less the signal's number."""


class UserError(Exception):
    """One sentence for the person at the keyboard: which file, what was found, what was expected."""

    exit_code = EXIT_USER_ERROR


class Interrupted(Exception):
    """A signal asked a long work to stop; everything needed to continue was saved."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = SIGNALLED + signal_number

    @classmethod
    def by(cls, signal_number: int, done: str) -> Interrupted:
        """With a sentence that says what is done."""
        name = signal.Signals(signal_number).name
        return cls(signal_number, f"stopped by {name} {done}; the same command continues.")
