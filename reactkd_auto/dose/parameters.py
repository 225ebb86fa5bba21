"""What is known of a scan: flux, kernel, filters; and the table used where nothing can be measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

VIEWS = 1000
"""Nominal parallel views over π; with `RAY_PITCH_MM` it only fixes the unit of the flux."""
RAY_PITCH_MM = 0.6
BOWTIE_MM = 150.0
DEFAULT_ELLIPSE_MM = (115.0, 165.0)
"""Semi-axes (y, x) of the water-equivalent body assumed around a crop: an average adult trunk."""

KERNEL_MTF50 = {"soft": 0.33, "standard": 0.42, "sharp": 0.65}
"""Presets: frequency in mm⁻¹ where a Gaussian-like modulation transfer falls to one half."""
PRESET_FLUX_PER_MM = 3.0e5
PRESET_READINGS_PER_MM = 1.6
FEWEST_READINGS = 4
"""Of a ray of a whole field of view: two rows seen from two sides. On thin slices of real pairs, two had lost noise."""
PRESET_BOWTIE = 0.6
KNOTS = 9


@dataclass(frozen=True)
class DoseCalibration:
    """How the noise of one CT arises; JSON-able by `reactkd_auto.jsonio`.

    Attributes:
        flux: Air counts N₀ of a central ray (`VIEWS` over π, `RAY_PITCH_MM` wide), one a slice, or one for all.
        kernel_frequencies, kernel_ln_h2: Knots (mm⁻¹) of ln H², H the reconstruction kernel over the ramp, H(0) = 1.
        bowtie: Strength B of the bowtie filter, b(u) = exp(−B (u / 150 mm)²).
        tube_modulation: Exponent κ of tube-current modulation, t ∝ exp(κ max_u p_θ).
        z_taps: Unit-norm filter that correlates slices.
        readings: Detector readings m merged into one ray.
        electronic_noise, floor: Of one reading, counts.
        ellipse_mm: Semi-axes (y, x) of the body assumed outside a crop; None for a whole field of view.
        confidence: 0 (preset) to 1.
        fallback: Why the preset was used, or None.
        patches: Soft-tissue patches that the estimate rests on.
    """

    flux: tuple[float, ...]
    kernel_frequencies: tuple[float, ...]
    kernel_ln_h2: tuple[float, ...]
    bowtie: float
    tube_modulation: float
    z_taps: tuple[float, ...]
    readings: int
    electronic_noise: float
    floor: float
    ellipse_mm: tuple[float, float] | None
    confidence: float
    fallback: str | None
    patches: int

    def __post_init__(self) -> None:
        if not self.flux or min(self.flux) <= 0 or self.readings < 1 or self.floor <= 0:
            raise ValueError("flux, readings and floor must be positive")
        if len(self.kernel_frequencies) != len(self.kernel_ln_h2) or len(self.z_taps) % 2 == 0:
            raise ValueError("one ln H² a kernel frequency and an odd number of z_taps are needed")

    def slice_flux(self, index: int) -> float:
        """N₀ of one slice; beyond the ends (or with one value for all) the nearest."""
        return self.flux[min(max(index, 0), len(self.flux) - 1)]


def preset(
    *,
    reason: str,
    slice_mm: float,
    ellipse_mm: tuple[float, float] | None,
    kernel: str = "standard",
    patches: int = 0,
) -> DoseCalibration:
    """A typical diagnostic trunk scan (about 13 HU in 30 cm of water at 5 mm); flux and readings ∝ thickness.

    In a crop the path lengths are assumed, so how near a reading is to starvation is unknown: one reading a ray keeps
    the electronic noise, and with it the departure from the quantum dose law √(1/a − 1), small.
    """
    thickness = min(max(slice_mm, 0.5), 10.0)
    frequencies = knot_frequencies(1.0)
    half = KERNEL_MTF50[kernel]
    return DoseCalibration(
        flux=(PRESET_FLUX_PER_MM * thickness,),
        kernel_frequencies=frequencies,
        kernel_ln_h2=tuple(-2 * math.log(2) * (f / half) ** 2 for f in frequencies),
        bowtie=PRESET_BOWTIE,
        tube_modulation=0.0,
        z_taps=(1.0,),
        readings=1 if ellipse_mm else max(FEWEST_READINGS, round(PRESET_READINGS_PER_MM * thickness)),
        electronic_noise=5.0,
        floor=1.0,
        ellipse_mm=ellipse_mm,
        confidence=0.0,
        fallback=reason,
        patches=patches,
    )


def knot_frequencies(highest: float) -> tuple[float, ...]:
    """`KNOTS` equidistant frequencies from 0 to ``highest`` mm⁻¹."""
    return tuple(highest * i / (KNOTS - 1) for i in range(KNOTS))
