"""Mixed precision, also on tensors without values: which operations CUDA's autocast runs in which precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

HALF = frozenset({"addmm", "baddbmm", "bmm", "conv3d", "conv_transpose3d", "linear", "matmul", "__matmul__", "mm"})
"""Of those that CUDA's autocast runs in bfloat16, what networks and losses here use (PyTorch, "Autocast Op
Reference")."""
FULL = frozenset(
    {
        *("cosine_similarity", "cross_entropy", "cumsum", "exp", "group_norm", "kl_div", "layer_norm", "log", "log1p"),
        *("log_softmax", "mse_loss", "nll_loss", "norm", "normalize", "pow", "__pow__", "prod", "smooth_l1_loss"),
        *("softmax", "softplus", "sum"),
    }
)
"""Of those that it runs in float32."""

_counting: ContextVar[bool] = ContextVar("_counting", default=False)
_paused: ContextVar[bool] = ContextVar("_paused", default=False)


class CudaAutocast(TorchFunctionMode):
    """What `torch.autocast("cuda", torch.bfloat16)` does to precision, for tensors on the meta device.

    PyTorch knows autocast of real devices only; memory of a GPU that is not there can be counted with this.
    """

    def __enter__(self) -> CudaAutocast:
        self._before = _counting.set(True)
        super().__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        _counting.reset(self._before)

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Cast what goes into the listed operations."""
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        precision = None if _paused.get() else torch.bfloat16 if name in HALF else torch.float32
        if precision is not None and (name in HALF or name in FULL):
            args, kwargs = tree_map_only(Tensor, lambda x: _cast(x, precision), (args, kwargs))
        return func(*args, **kwargs)


def contexts_to_recompute() -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
    """Of a forward pass and of its repetition by `torch.utils.checkpoint`, where modes are suspended."""
    return nullcontext(), CudaAutocast() if _counting.get() else nullcontext()


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 where CUDA's autocast takes it. On a CPU float32: there bfloat16 changes the third digit, and a CPU's
    results are to be reproducible everywhere."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


@contextmanager
def full_precision(x: Tensor) -> Iterator[None]:
    """No autocast inside: neither of the device of ``x`` nor `CudaAutocast`."""
    token = _paused.set(True)
    try:
        with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            yield
    finally:
        _paused.reset(token)


def _cast(x: Tensor, precision: torch.dtype) -> Tensor:
    return x.to(precision) if x.dtype in (torch.float32, torch.bfloat16) else x
