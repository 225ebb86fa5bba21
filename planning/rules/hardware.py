"""What the device can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CPU_VOXELS = 2**18
SMALLEST_BUDGET, LARGEST_BUDGET = 2**15, 2**22
BYTES_PER_VOXEL = 1200
"""Activations that one 32-channel encoder keeps for its backward pass, per patch voxel, in mixed precision."""
USABLE = 0.8


@dataclass(frozen=True)
class Hardware:
    """The device to plan for; it need not be present. ``gpu_memory_gb`` is 0 for a CPU."""

    device: Literal["cuda", "cpu"]
    gpu_memory_gb: float = 0.0


def voxel_budget(hardware: Hardware, *, batch_size: int, encoders: int) -> tuple[int, str]:
    """Most voxels that a patch may have."""
    if hardware.device == "cpu":
        return CPU_VOXELS, f"a CPU affords {CPU_VOXELS} voxels (about half a second a sample and encoder)"
    affordable = USABLE * hardware.gpu_memory_gb * 2**30 / (batch_size * encoders * BYTES_PER_VOXEL)
    budget = int(min(max(affordable, SMALLEST_BUDGET), LARGEST_BUDGET))
    return budget, (
        f"{hardware.gpu_memory_gb:g} GB of GPU memory afford {budget} voxels for {batch_size} samples "
        f"in {encoders} teacher encoders"
    )
