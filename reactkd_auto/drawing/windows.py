"""Grey windows, as radiology sets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """Values shown as black and as white, and their unit (none for a shape)."""

    name: str
    lower: float
    upper: float
    unit: str = ""

    @property
    def label(self) -> str:
        """Name and limits, for people."""
        limits = f"{self.lower:g}…{self.upper:g} {self.unit}".replace("-", "−")
        return f"{self.name}, {limits}" if self.unit else self.name


SOFT_TISSUE = Window("soft tissue", -160.0, 240.0, "HU")
LUNG = Window("lung", -1350.0, 150.0, "HU")
LIVER = Window("liver", -45.0, 105.0, "HU")
MEDIASTINUM = Window("mediastinum", -125.0, 225.0, "HU")
BONE = Window("bone", -500.0, 1300.0, "HU")
BRAIN = Window("brain", 0.0, 80.0, "HU")
SHAPE = Window("shape mask", 0.0, 1.0)
CT_WINDOWS = (SOFT_TISSUE, LIVER, MEDIASTINUM, LUNG, BONE, BRAIN)
MOSTLY_AIR_HU = -400.0


def ct_window(hu: NDArray[Any]) -> Window:
    """Soft tissue, or lung where these HU are mostly air (or none)."""
    return LUNG if hu.size == 0 or float(np.median(hu)) < MOSTLY_AIR_HU else SOFT_TISSUE
