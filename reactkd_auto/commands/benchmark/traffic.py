"""Bytes that torch's operations read and write, counted while they run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .measuring import Work


def bytes_moved(work: Work) -> int:
    """Sum over operations of the bytes of their operands and results, each counted once.

    Caches save some of it and passes inside an FFT add to it; views move nothing. It compares with a copy's bandwidth:
    what runs at that rate is bound by memory, and only fewer passes would make it faster.
    """
    with _Counter() as counter:
        work()
    return counter.total


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.total += _size(tree_leaves((args, kwargs))) + _size(tree_leaves(result))
        return result


def _size(leaves: Iterable[Any]) -> int:
    return sum(_stored(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor))


def _stored(tensor: torch.Tensor) -> int:
    if tensor.layout == torch.sparse_csr:
        return _size((tensor.crow_indices(), tensor.col_indices(), tensor.values()))
    # A broadcast operand is read from the little that is stored of it.
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
