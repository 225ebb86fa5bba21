"""What every noise engine has in common: a volume, its rays, and slices that depend on their index only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from .rays import RayNoise

_SENT_AS_STORED = (np.int16, np.float32)


@dataclass(frozen=True)
class DoseStep:
    """Noise to be drawn: what rays gain when the dose falls from ``start`` to ``dose``, from the stream ``key``."""

    dose: float
    start: float
    key: int


@dataclass(frozen=True, eq=False)
class NoiseEngine(ABC):
    """Draws the noise of one volume.

    Slices are independent of one another given their index, so any range of them can be asked for, in any order, with
    the same result.

    Attributes:
        volume: (z, y, x) HU, axial slices.
        rays: Counts and variances.
    """

    cuda_batch: ClassVar[int] = 8
    """Slices worked on together on CUDA, as fill the device and leave room in its memory."""

    volume: NDArray[np.generic]
    rays: RayNoise

    def batches(self, first: int = 0, last: int | None = None) -> Iterator[range]:
        """Ranges of slices to be worked on together; single ones on the CPU, where that keeps results bit-exact."""
        last = len(self.volume) if last is None else last
        step = self.cuda_batch if self.rays.device.type == "cuda" else 1
        for start in range(first, last, step):
            yield range(start, min(start + step, last))

    def slices(self, indices: range) -> torch.Tensor:
        """HU of some slices on the device, float32."""
        part: Any = self.volume[indices.start : indices.stop]
        if isinstance(part, torch.Tensor):  # on the device already
            return part.float()
        host = torch.from_numpy(np.array(part, dtype=part.dtype if part.dtype in _SENT_AS_STORED else np.float32))
        if self.rays.device.type == "cuda":
            # From pinned memory the host goes on while the device copies.
            host = host.pin_memory()
        return host.to(self.rays.device, non_blocking=True).float()

    @abstractmethod
    def noise(self, indices: range, steps: Sequence[DoseStep]) -> torch.Tensor:
        """Noise of some slices, one image a step, HU: (n, steps, rows, columns).

        Steps of one key draw the same random numbers.
        """

    @abstractmethod
    def bias(self, indices: range, doses: Sequence[float]) -> torch.Tensor:
        """Mean HU that starvation adds at each dose: (n, doses, rows, columns)."""
