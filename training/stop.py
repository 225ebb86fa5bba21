"""SIGTERM and SIGINT: stop at the next safe point instead of in the middle of a write."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType

from reactkd_auto.errors import Interrupted


class StopRequest:
    """Remembers the first SIGTERM or SIGINT within its ``with`` block; a second one acts at once.

    Forked loaders inherit this: a Ctrl+C that reaches the whole group leaves them alive until the state is saved.
    Outside the main thread nothing is caught (Python allows it there only).
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def check(self, done: str) -> None:
        """Stop here if a signal came.

        Raises:
            Interrupted: With a sentence that says what is done.
        """
        if self.received is not None:
            raise Interrupted.by(self.received, done)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            self._restore()
            os.kill(os.getpid(), number)
            return
        self.received = number

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}
