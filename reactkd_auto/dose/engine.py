"""What every noise engine has in common: a volume, its rays, and slices that depend on their index only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from .rays import RayNoise


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

    cpu_batch: ClassVar[int] = 1
    cuda_batch: ClassVar[int] = 8
    """Slices worked on together, as fill the device and leave room in its memory."""

    volume: NDArray[np.generic]
    rays: RayNoise

    def batches(self, first: int = 0, last: int | None = None) -> Iterator[range]:
        """Ranges of slices to be worked on together."""
        last = len(self.volume) if last is None else last
        step = self.cuda_batch if self.rays.device.type == "cuda" else self.cpu_batch
        for start in range(first, last, step):
            yield range(start, min(start + step, last))

    def slices(self, indices: range) -> torch.Tensor:
        """HU of some slices on the device, float32."""
        part = np.ascontiguousarray(self.volume[indices.start : indices.stop], dtype=np.float32)
        return torch.from_numpy(part).to(self.rays.device)

    @abstractmethod
    def noise(self, indices: range, steps: Sequence[DoseStep]) -> torch.Tensor:
        """Noise of some slices, one image a step, HU: (n, steps, rows, columns).

        Steps of one key draw the same random numbers.
        """

    @abstractmethod
    def bias(self, indices: range, doses: Sequence[float]) -> torch.Tensor:
        """Mean HU that starvation adds at each dose: (n, doses, rows, columns)."""
