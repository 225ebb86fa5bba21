"""What the device affords in work: how many voxels a sample may have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from reactkd_auto.plan import Triple

Device = Literal["cuda", "cpu"]
VOXELS: dict[Device, int] = {"cpu": 2**18, "cuda": 2**22}
FEATURE_VOXELS: dict[Device, int] = {"cpu": 2**17, "cuda": 2**21}
"""Most voxels of a patch, and of the grid of the first stage, which takes most of the time. On a GPU a training then
sees as many feature voxels (20,000 iterations of 8 samples in 3 encoders) as one of nnU-Net (250,000 of 2 × 128³)."""
SMALLEST_VOXELS = 2**15
"""A patch of so many voxels is planned on any device: with fewer, there is nothing left to see."""


@dataclass(frozen=True)
class Hardware:
    """The device to plan for; it need not be present. ``gpu_memory_gb`` is 0 for a CPU."""

    device: Device
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


def voxel_budget(hardware: Hardware) -> Budget:
    """What the device affords in time."""
    patch, features = VOXELS[hardware.device], FEATURE_VOXELS[hardware.device]
    name = "CPU" if hardware.device == "cpu" else "GPU"
    return Budget(patch, features, f"a {name} affords {patch} voxels, {features} of them at full resolution, in time")
