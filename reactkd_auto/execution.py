"""One case-parallel map: in this process, or in local worker processes that may die without taking the rest along."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import UserError
from .progress import track

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Item = TypeVar("Item")
Result = TypeVar("Result")

BYTES_PER_WORKER = 3 * 2**30
"""Free memory that each local process is granted: a large CT with two PETs and its noise fields."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseFailure:
    """A case that could not be done: one sentence for a person; the traceback where it was not a user's mistake."""

    sentence: str
    traceback: str | None = None


def map_cases(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None = None,
    what: str = "cases",
    quiet: bool = False,
    name: Callable[[Item], str] = str,
) -> Iterator[tuple[Item, Result | CaseFailure]]:
    """Apply ``function`` to every item; a failing or dying case is reported, all others are finished.

    Every call runs single-threaded, so results do not depend on the number of workers.

    Args:
        function: A picklable function (module level, or `functools.partial` of one).
        items: One a case, picklable.
        workers: Local processes; 1 means this process; None: as many as cores and free memory allow. A script that
            uses more than one needs the ``if __name__ == "__main__":`` guard (processes are spawned).
        what: What the progress bar says.
        quiet: No progress bar.
        name: How an item is called in messages.

    Yields:
        (item, result or `CaseFailure`) in the order of ``items``.
    """
    items = list(items)
    workers = min(default_workers() if workers is None else max(1, workers), len(items))
    engine = _in_process if workers <= 1 else _in_processes
    finished: dict[int, Result | CaseFailure] = {}
    following = 0
    with single_threaded():
        for index, result in track(engine(function, items, workers), what=what, total=len(items), quiet=quiet):
            if isinstance(result, CaseFailure) and result.traceback:
                logger.error("%s: %s\n%s", name(items[index]), result.sentence, result.traceback)
            finished[index] = result
            while following in finished:
                yield items[following], finished.pop(following)
                following += 1


def default_workers() -> int:
    """Cores that this process may use, as far as free memory grants each `BYTES_PER_WORKER`; at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _free_bytes() // BYTES_PER_WORKER))


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keep torch and SimpleITK to one thread for a while."""
    import SimpleITK as sitk
    import torch

    before = torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before[1])


def _free_bytes() -> int:
    """Free memory of the machine, or of the container where that is less."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 2**62
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        free = min(free, limit - int((group / "memory.current").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no control group, or no limit ("max")
        pass
    return max(0, free)


def _attempt(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    except UserError as error:
        return CaseFailure(str(error))
    except Exception as error:
        return CaseFailure(f"failed with {type(error).__name__}: {error}", traceback.format_exc())


def _in_process(function: Callable[[Any], Any], items: list[Any], workers: int) -> Iterator[tuple[int, Any]]:
    for index, item in enumerate(items):
        yield index, _attempt(function, item)


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
        self.process: SpawnProcess = context.Process(
            target=_serve, args=(theirs, pickle.dumps(function)), daemon=True, name="reactkd_case"
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
            return index, CaseFailure(f"its worker process died ({reason}); was memory short? Run it again.")

    def stop(self) -> None:
        """End the process; a case in hand is given up."""
        self.connection.close()
        if self.index is not None:
            self.process.terminate()
        self.process.join()

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


def _serve(connection: Connection, function: bytes) -> None:
    """Life of a worker: until the other end closes, which it also does when the parent is killed."""
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
                connection.send(_attempt(apply, item))
            except BrokenPipeError:
                return
