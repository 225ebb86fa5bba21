"""Cases on this machine: in this process, or in worker processes that may die without taking the rest along."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .capacity import default_workers
from .outcome import CaseFailure, attempt
from .threads import THREAD_VARIABLES, single_threaded

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess


def on_this_machine(
    function: Callable[[Any], Any], items: list[Any], *, workers: int | None, bytes_each: int, devices: int = 0
) -> Iterator[tuple[int, Any]]:
    """One worker is this process; more are spawned, and share the machine's devices."""
    workers = min(default_workers(bytes_each) if workers is None else workers, len(items))
    with single_threaded():
        if workers <= 1:
            yield from ((index, attempt(function, item)) for index, item in enumerate(items))
        else:
            yield from _in_processes(function, items, workers)


def _in_processes(function: Callable[[Any], Any], items: list[Any], workers: int) -> Iterator[tuple[int, Any]]:
    waiting = list(enumerate(items))[::-1]
    pool: list[_Worker] = []
    try:
        while True:
            pool = [worker for worker in pool if not worker.dead]
            while len(pool) < min(workers, len(waiting)):
                pool.append(_Worker(function))
            for worker in pool:
                if worker.index is None and waiting:
                    worker.send(*waiting.pop())
            busy = {worker.connection: worker for worker in pool if worker.index is not None}
            if not busy:
                return
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                yield worker.release()
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """One spawned process (fork is unsafe once torch has threads) and the case that it has in hand."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._last_words = tempfile.NamedTemporaryFile(prefix="reactkd_case_")  # noqa: SIM115 (closed by `stop`)
        self.process: SpawnProcess = context.Process(
            target=_serve,
            args=(theirs, pickle.dumps(function), self._last_words.name),
            daemon=True,
            name="reactkd_case",
        )
        self.process.start()
        theirs.close()
        self.index: int | None = None
        self.dead = False
        self._ready = False

    def send(self, index: int, item: Any) -> None:
        """Hand over a case."""
        self.index = index
        self._ready = self._ready or self._wait_until_ready()
        with suppress(OSError):  # died while idle: `release` reports it
            self.connection.send(item)

    def release(self) -> tuple[int, Any]:
        """Index and result of the case in hand, or its failure if the process died over it."""
        assert self.index is not None
        index, self.index = self.index, None
        try:
            return index, self.connection.recv()
        except (EOFError, OSError):
            self.dead = True
            self.process.join()
            reason = _exit_reason(self.process.exitcode)
            stack = Path(self._last_words.name).read_text(encoding="utf-8", errors="replace")
            self.stop()
            hint = "" if stack else "; was memory short? Run it again"
            return index, CaseFailure(f"its worker process died ({reason}){hint}.", stack or None)

    def stop(self) -> None:
        """End the process; a case in hand is given up."""
        self.connection.close()
        if self.index is not None:
            self.process.terminate()
        self.process.join()
        self._last_words.close()

    def _wait_until_ready(self) -> bool:
        try:
            return bool(self.connection.recv())
        except (EOFError, OSError):
            raise RuntimeError(
                "a worker process could not start (its message stands above); "
                'scripts need the guard `if __name__ == "__main__":`'
            ) from None


def _exit_reason(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(connection: Connection, function: bytes, last_words: str) -> None:
    """Life of a worker: until the other end closes, which it also does when the parent is killed.

    Python's stack at a crash of a library (a segmentation fault, say) goes to the file ``last_words``.
    """
    faulthandler.enable(Path(last_words).open("w"), all_threads=False)  # noqa: SIM115 (open as long as the process)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # read by the libraries when they are first imported
    loaded = {"torch", "SimpleITK"} & set(sys.modules)
    with single_threaded() if loaded else nullcontext():
        apply = pickle.loads(function)
        connection.send(True)
        while True:
            try:
                item = connection.recv()
            except EOFError:
                return
            try:
                connection.send(attempt(apply, item))
            except BrokenPipeError:
                return
