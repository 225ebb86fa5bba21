"""A scanner that the calibration has not seen: equiangular fan beam, its own bowtie, tube-current modulation, kernel.

Independent of the package: numpy only; counts, logarithm and fan-beam FBP (Kak & Slaney 1988, section 3.4.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tests.dose.scanner import Ellipse, exact_moments, picture

MU = 0.0192
SOURCE_MM = 560.0
VIEWS, CELLS = 984, 768
CELL = math.radians(50.0) / CELLS

ABDOMEN = (
    Ellipse((0, 0), (110, 155), 1000),
    Ellipse((-5, -65), (60, 65), 70),
    Ellipse((-10, 95), (35, 30), 50),
    Ellipse((60, 0), (17, 20), 350),
    Ellipse((25, -12), (11, 11), 120),
)
HIPS = (
    Ellipse((0, 0), (112, 172), 1000),
    Ellipse((5, -95), (24, 24), 700),
    Ellipse((5, 95), (24, 24), 700),
    Ellipse((-20, 0), (35, 45), 20),
)
CHEST = (
    Ellipse((0, 0), (115, 165), 1000),
    Ellipse((0, -80), (75, 55), -800),
    Ellipse((0, 80), (75, 55), -800),
    Ellipse((75, 0), (16, 18), 350),
    Ellipse((-15, 12), (45, 45), 50),
)
HEAD = (Ellipse((0, 0), (98, 78), 2000), Ellipse((0, 0), (91, 71), -965))


@dataclass(frozen=True)
class FanBeam:
    """Flux: counts of a central reading in air.

    Attributes:
        flux: Expected counts of a cell (of all rows) in air behind the thinnest part of the bowtie.
        bowtie: b = exp(−2 B (1 − cos(u / 150 mm))), u the ray's distance from the axis.
        modulation: Tube current 1 + A cos 2(β − 90°), A > 0: more through the body's long axis.
        cutoff, power: Kernel cos^power(π ρ / 2 ρ_c), ρ_c in mm⁻¹.
        rows: Detector rows merged into a slice; each counts, is logged and then averaged by itself.
        electronic_noise: Counts, of a row.
    """

    flux: float
    bowtie: float = 0.6
    modulation: float = 0.0
    cutoff: float = 0.9
    power: float = 2.0
    rows: int = 1
    electronic_noise: float = 5.0

    @property
    def equivalent_flux(self) -> float:
        """Counts of 1000 views over π and rays 0.6 mm apart with as many photons: every line is seen twice here."""
        return self.flux * VIEWS * 0.6 / (1000 * SOURCE_MM * CELL)

    @property
    def gamma(self) -> np.ndarray:
        return (np.arange(CELLS) - (CELLS - 1) / 2 + 0.25) * CELL

    @property
    def beta(self) -> np.ndarray:
        return np.arange(VIEWS) * 2 * math.pi / VIEWS

    def counts(self, phantom: tuple[Ellipse, ...]) -> np.ndarray:
        """(VIEWS, CELLS) expected counts at full dose, of all rows."""
        u = SOURCE_MM * np.sin(self.gamma)
        tube = 1 + self.modulation * np.cos(2 * (self.beta - math.pi / 2))
        bowtie = np.exp(-2 * self.bowtie * (1 - np.cos(np.clip(u / 150, -2, 2))))
        return self.flux * tube[:, None] * bowtie * np.exp(-self._paths(phantom, u))

    def _paths(self, phantom: tuple[Ellipse, ...], u: np.ndarray) -> np.ndarray:
        theta = self.beta[:, None] + self.gamma[None]
        cos, sin = np.cos(theta), np.sin(theta)
        total = np.zeros((VIEWS, CELLS))
        for e in phantom:
            (ay, ax), (cy, cx) = e.axes, e.centre
            reach = (ax * cos) ** 2 + (ay * sin) ** 2
            s = u[None] - cx * cos - cy * sin
            total += e.hu / 1000 * MU * 2 * ax * ay / reach * np.sqrt(np.maximum(reach - s * s, 0))
        return total

    def _filter(self) -> np.ndarray:
        """(2 CELLS,) kernel at lags of whole cells: band-limited ramp, (γ / sin γ)², apodised."""
        n = 2 * CELLS
        lag = np.fft.fftfreq(n, d=1 / n)
        odd = lag % 2 == 1
        ramp = np.where(odd, -1 / (2 * (math.pi * np.where(odd, np.sin(lag * CELL), 1.0)) ** 2), 0.0)
        ramp[0] = 1 / (8 * CELL**2)
        rho = np.abs(np.fft.fftfreq(n, d=SOURCE_MM * CELL))
        window = np.where(rho < self.cutoff, np.cos(math.pi * np.minimum(rho / self.cutoff, 1) / 2), 0) ** self.power
        return np.fft.ifft(np.fft.fft(ramp) * window).real

    def back_project(self, rays: np.ndarray, points: np.ndarray, *, squared: bool = False) -> np.ndarray:
        """FBP of (n, VIEWS, CELLS) at points (m, 2), (y, x) mm, in HU; or propagation of variance, in HU²."""
        p = 2 if squared else 1
        n, fine = 2 * CELLS, 8
        weight = (SOURCE_MM * np.cos(self.gamma)) ** p
        spectrum = np.fft.rfft(rays * weight, n=n, axis=-1) * np.fft.rfft(self._filter() ** p)
        filtered = np.fft.irfft(spectrum, n=n * fine, axis=-1)[..., : CELLS * fine] * fine
        total = np.zeros((len(rays), len(points)))
        for k, beta in enumerate(self.beta):
            # Source at R (−sin β, cos β) in (x, y); γ = 0 runs through the axis, where θ = β.
            sx, sy = -SOURCE_MM * math.sin(beta), SOURCE_MM * math.cos(beta)
            dx, dy = points[:, 1] - sx, points[:, 0] - sy
            across = dx * math.cos(beta) + dy * math.sin(beta)
            along = dx * math.sin(beta) - dy * math.cos(beta)
            at = (np.arctan2(across, along) - self.gamma[0]) / CELL * fine
            # The nearest of eight fine samples a cell: linear interpolation would smooth the noise.
            near = filtered[:, k, np.clip(np.rint(at).astype(int), 0, CELLS * fine - 1)]
            total += near / (across**2 + along**2) ** p
        # Half the sum over 2π; the kernel is per cell.
        scale = 2 * math.pi / VIEWS * CELL * 1000 / MU
        return total * scale**p

    def scan(self, phantom: tuple[Ellipse, ...], size: int, pixel: float, slices: int, seed: int) -> np.ndarray:
        """(slices, size, size) HU: the phantom and, in its body, the noise of acquisitions at full dose."""
        rng = np.random.default_rng(seed)
        expected = np.broadcast_to(self.counts(phantom) / self.rows, (slices, VIEWS, CELLS))
        error = np.zeros(expected.shape)
        for _ in range(self.rows):
            signal = rng.poisson(expected) + self.electronic_noise * rng.standard_normal(expected.shape)
            error -= np.log(np.maximum(signal, 1) / expected) / self.rows
        points = grid(size, pixel)
        body = (((points - phantom[0].centre) / phantom[0].axes) ** 2).sum(1) < 1.1
        hu = np.stack([picture(phantom, size, pixel).ravel()] * slices)
        hu[:, body] += self.back_project(error, points[body])
        return hu.reshape(slices, size, size)

    def added_sd(self, phantom: tuple[Ellipse, ...], dose: float, points: np.ndarray) -> np.ndarray:
        """Exact SD in HU of the noise that a dose adds at points, by propagation of variance."""
        counts = self.counts(phantom) / self.rows
        low, full = (exact_moments(counts * a, self.electronic_noise)[0] / self.rows for a in (dose, 1.0))
        return np.sqrt(self.back_project((low - full)[None], points, squared=True)[0])


def grid(size: int, pixel: float) -> np.ndarray:
    """(size², 2) positions (y, x) of the pixels of an image, mm."""
    t = (np.arange(size) - (size - 1) / 2) * pixel
    return np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)


def texture(shape: tuple[int, int, int], pixel: float, sd: float, seed: int) -> np.ndarray:
    """Anatomy: a random field of spectrum ρ⁻³ above 0.02 mm⁻¹ and of the given SD, independent in each slice."""
    rng = np.random.default_rng(seed)
    rho = np.hypot(np.fft.fftfreq(shape[1], d=pixel)[:, None], np.fft.rfftfreq(shape[2], d=pixel)[None])
    amplitude = np.maximum(rho, 0.02) ** -1.5
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * amplitude, s=shape[1:])
    return (field * sd / field.std()).astype(np.float32)
