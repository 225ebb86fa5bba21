"""Processes that share every batch, one GPU each: data-parallel training over ``torch.distributed`` (gloo on CPUs)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed

T = TypeVar("T")
_SHARING: ContextVar[int] = ContextVar("processes that share the batch at hand", default=1)


class RankLost(Exception):
    """Another process of the group is gone, so nothing can be shared any more."""


@dataclass(frozen=True)
class Ranks:
    """This process's place in its group.

    Attributes:
        rank: 0 leads: it decides what is trained, and it alone writes.
        count: Of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, samples: int) -> slice:
        """This process's samples of a batch, whose size is a multiple of `count`."""
        size = samples // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Within it, `sum_over_ranks` and `mean_over_ranks` look at the whole group's batch."""
        token = _SHARING.set(self.count)
        try:
            yield
        finally:
            _SHARING.reset(token)

    def largest(self, numbers: Sequence[int]) -> list[int]:
        """The largest of all processes' numbers, place by place; no device is waited for."""
        votes = torch.tensor(numbers)
        if self.count > 1:
            with _watching():
                distributed.all_reduce(votes, op=distributed.ReduceOp.MAX)
        found: list[int] = votes.tolist()
        return found

    @torch.no_grad()
    def mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Means over the processes of tensors of one type and device, in one message."""
        if self.count == 1 or not tensors:
            return list(tensors)
        flat = torch.cat([t.reshape(-1) for t in tensors])
        with _watching():
            distributed.all_reduce(flat)
        parts = (flat / self.count).split([t.numel() for t in tensors])
        return [torch.empty_like(t).copy_(part.view(t.shape)) for part, t in zip(parts, tensors, strict=True)]

    def hear(self, message: T | None = None) -> T:
        """The message that the leading process gives, in every process."""
        box = [message]
        if self.count > 1:
            with _watching():
                distributed.broadcast_object_list(box, src=0)
        assert box[0] is not None
        return box[0]


ALONE = Ranks()
"""One process, which does everything."""


def sum_over_ranks(value: Tensor) -> Tensor:
    """Sum of a value without gradient over the processes that share the batch at hand; itself where one has it all."""
    if _SHARING.get() == 1:
        return value
    total = value.detach().clone()
    with _watching():
        distributed.all_reduce(total)
    return total


def mean_over_ranks(value: Tensor) -> Tensor:
    """`sum_over_ranks` divided by the number of processes."""
    count = _SHARING.get()
    return value if count == 1 else sum_over_ranks(value) / count


@contextmanager
def _watching() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # a gloo or NCCL connection that broke
        raise RankLost(str(error).splitlines()[0]) from error
