"""What the device can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from reactkd_auto.plan import Triple

CPU_VOXELS, CPU_FEATURE_VOXELS = 2**18, 2**17
"""Most voxels of a patch, and of the grid of the first stage, which takes most of the time."""
SMALLEST_BUDGET, LARGEST_BUDGET = 2**15, 2**22
BYTES_PER_VOXEL = 1200
"""Activations that one 32-channel encoder keeps for its backward pass, per patch voxel, in mixed precision."""
USABLE = 0.8


@dataclass(frozen=True)
class Hardware:
    """The device to plan for; it need not be present. ``gpu_memory_gb`` is 0 for a CPU."""

    device: Literal["cuda", "cpu"]
    gpu_memory_gb: float = 0.0


@dataclass(frozen=True)
class Budget:
    """Most voxels that a patch, and the first stage's grid, may have."""

    patch: int
    features: int
    reason: str

    def affords(self, patch: Triple, stem: Triple) -> bool:
        """Whether a patch behind a stem of this stride is within the budget."""
        voxels = math.prod(patch)
        return voxels <= self.patch and voxels <= self.features * math.prod(stem)


def voxel_budget(hardware: Hardware, *, batch_size: int, encoders: int) -> Budget:
    """What the device affords."""
    if hardware.device == "cpu":
        reason = f"a CPU affords {CPU_VOXELS} voxels, {CPU_FEATURE_VOXELS} of them at full resolution"
        return Budget(CPU_VOXELS, CPU_FEATURE_VOXELS, reason)
    affordable = USABLE * hardware.gpu_memory_gb * 2**30 / (batch_size * encoders * BYTES_PER_VOXEL)
    voxels = int(min(max(affordable, SMALLEST_BUDGET), LARGEST_BUDGET))
    return Budget(
        voxels,
        voxels,
        (
            f"{hardware.gpu_memory_gb:g} GB of GPU memory afford {voxels} voxels for {batch_size} samples "
            f"in {encoders} teacher encoders"
        ),
    )
