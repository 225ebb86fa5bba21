"""Bytes of the tensors that are alive, the most that ever were, and floating-point operations."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

BLOCK = 512
"""PyTorch's CUDA allocator hands out multiples of so many bytes."""


class Counting(TorchDispatchMode):
    """Follows every storage that an operation makes to its end, and adds up the work of operations.

    (PyTorch's own `FlopCounterMode` keeps tensors alive that a training step lets go, so it cannot run beside.)

    Works on any device; on the meta device nothing is allocated and nothing computed. What kernels take and give back
    inside of one operation is not seen.

    Attributes:
        now: Bytes of the tensors made inside this context that are alive.
        peak: The most there were at once.
        flops: Of convolutions and matrix products; a multiply-add is two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.flops = 0
        self._alive: dict[weakref.ref[torch.UntypedStorage], int] = {}

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation, then note its work and what it made."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.flops += count(*args, **kwargs, out_val=result)
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        reference = weakref.ref(storage, self._forget)
        if reference in self._alive:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        self._alive[reference] = size
        self.now += size
        self.peak = max(self.peak, self.now)

    def _forget(self, reference: weakref.ref[torch.UntypedStorage]) -> None:
        self.now -= self._alive.pop(reference)
