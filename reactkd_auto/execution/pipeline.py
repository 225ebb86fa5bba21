"""Three steps a case, overlapping: the next case is read and the last one written while one is worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Worked = TypeVar("Worked")
Written = TypeVar("Written")


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    work: Callable[[Item, Read], Worked],
    write: Callable[[Item, Worked], Written],
    *,
    overlap: bool = True,
) -> Iterator[Written]:
    """What ``write`` returns for each item, in their order.

    At most three items are in memory: one that was read ahead, the one in work, the one being written. ``work`` runs in
    the calling thread. An exception of a step ends the run, after what is being written has been written; steps that
    are to keep the faults of an item to it return them.

    Args:
        items: In order.
        read, work, write: The steps; each gets the item and what the step before it returned.
        overlap: False: one after the other, in the calling thread.
    """
    if not overlap:
        for item in items:
            yield write(item, work(item, read(item)))
        return
    waiting = iter(items)
    # Threads rather than processes: decompression, ITK and writing let go of Python's lock, and images aren't copied.
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        ahead = _start(reader, read, waiting)
        behind: Future[Written] | None = None
        while ahead is not None:
            item, reading = ahead
            ready = reading.result()
            ahead = _start(reader, read, waiting)
            worked = work(item, ready)
            del ready, reading  # else two read cases more than promised would be held
            if behind is not None:
                yield behind.result()
            behind = writer.submit(write, item, worked)
            del worked
        if behind is not None:
            yield behind.result()


def _start(
    reader: ThreadPoolExecutor, read: Callable[[Item], Read], waiting: Iterator[Item]
) -> tuple[Item, Future[Read]] | None:
    for item in waiting:
        return item, reader.submit(read, item)
    return None
