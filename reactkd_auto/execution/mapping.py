"""`map_cases`, whichever engine does the work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from reactkd_auto.progress import track

from .capacity import BYTES_PER_WORKER
from .local import on_this_machine
from .options import Execution
from .outcome import CaseFailure, Item, Result
from .ray_cluster import on_ray

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Does each item once and yields (its index, result or `CaseFailure`) as they come."""

    def __call__(
        self,
        function: Callable[[Any], Any],
        items: list[Any],
        *,
        workers: int | None,
        bytes_each: int,
        devices: int,
    ) -> Iterator[tuple[int, Any]]:
        """A closed generator gives up what is not done and leaves no process behind."""
        ...


_ENGINES: dict[str, Engine] = {"local": on_this_machine, "ray": on_ray}


def map_cases(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    execution: Execution,
    bytes_each: int = BYTES_PER_WORKER,
    devices: int = 0,
    what: str = "cases",
    name: Callable[[Item], str] = str,
) -> Iterator[tuple[Item, Result | CaseFailure]]:
    """Apply ``function`` to every item; a failing or dying case is reported, all others are finished.

    Every call runs single-threaded, so results depend neither on the engine nor on the number of workers.

    Args:
        function: A picklable function (module level, or `functools.partial` of one).
        items: One a case, picklable.
        execution: Engine and workers. A script that uses more than one worker needs the
            ``if __name__ == "__main__":`` guard (processes are spawned).
        bytes_each: Memory that a case may take.
        devices: CUDA devices that a worker has to itself, on a cluster; workers of this machine share what it has.
        what: What the progress bar says.
        name: How an item is called in messages.

    Yields:
        (item, result or `CaseFailure`) in the order of ``items``.

    Raises:
        UserError: The engine is not there.
    """
    items = list(items)
    if not items:
        return
    results = _ENGINES[execution.engine](
        function, items, workers=execution.workers, bytes_each=bytes_each, devices=devices
    )
    finished: dict[int, Result | CaseFailure] = {}
    following = 0
    for index, result in track(results, what=what, total=len(items), quiet=execution.quiet):
        if isinstance(result, CaseFailure) and result.traceback:
            logger.error("%s: %s\n%s", name(items[index]), result.sentence, result.traceback)
        finished[index] = result
        while following in finished:
            yield items[following], finished.pop(following)
            following += 1
