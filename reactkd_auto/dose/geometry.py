"""Where the rays run: a coarse square canvas around the image and its parallel-beam projections.

Line integrals are needed only for the variance of the readings, which is smooth, so slices are averaged down to
`GRID`² pixels and projected at `ANGLES` angles over π by one sparse matrix. `nodes` carries per-ray quantities back to
the image.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache

import torch

GRID = 128
ANGLES = 64
BINS = 184
"""Detector bins one coarse pixel wide; 184 > 128·√2 covers the canvas's corners."""
MU_WATER = 0.0192
"""Linear attenuation of water, mm⁻¹, at CT's effective energy."""
HU_PER_MU = 1000.0 / MU_WATER
TOGETHER = 8
"""Slices that share one pass over the projector's matrix."""
PADDING_HU = -1024


def angles(device: torch.device | None = None) -> torch.Tensor:
    """(ANGLES,) projection angles θ over π; a point (y, x) projects to u = x cos θ + y sin θ."""
    return torch.arange(ANGLES, dtype=torch.float64, device=device) * (math.pi / ANGLES)


def relative_attenuation(hu: torch.Tensor) -> torch.Tensor:
    """μ / μ_w = 1 + HU/1000 ≥ 0, float32; NaN counts as air."""
    return (torch.nan_to_num(hu.float(), nan=-1000.0, posinf=30000.0, neginf=-1000.0) * 0.001 + 1).clamp(0, 31)


@dataclass(frozen=True)
class Canvas:
    """A square of ``side`` mm, centred on the slices, that holds everything that attenuates.

    Attributes:
        shape: Rows and columns of the image's slices.
        spacing: Row and column spacing, mm.
        ellipse: Semi-axes (y, x) in mm of the water-equivalent body assumed outside a crop; None where the field of
            view holds the whole body.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]
    ellipse: tuple[float, float] | None

    @property
    def side(self) -> float:
        """Length of the canvas's side, mm."""
        extents = [n * s for n, s in zip(self.shape, self.spacing, strict=True)]
        if self.ellipse is not None:
            extents += [2.04 * a for a in self.ellipse]
        return max(extents)

    @property
    def pixel(self) -> float:
        """Side of a coarse pixel and width of a detector bin, mm."""
        return self.side / GRID

    def attenuation(self, hu: torch.Tensor) -> torch.Tensor:
        """(slices, rows, columns) HU → (slices, GRID, GRID) attenuation, mm⁻¹, by area averaging.

        The part of a coarse pixel that no image pixel covers is water
        inside the assumed ellipse, air elsewhere.
        """
        down_y, down_x, around = _averaging(self, hu.device)
        return (down_y @ relative_attenuation(hu) @ down_x.T + around) * MU_WATER

    def coordinates(self, axis: int) -> torch.Tensor:
        """Centres of the image's rows (0) or columns (1), mm from the canvas's centre, float64."""
        n, s = self.shape[axis], self.spacing[axis]
        return (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * s

    def averaging(self, axis: int) -> torch.Tensor:
        """(GRID, n) float64: share of each coarse pixel that each image pixel covers."""
        n, s = self.shape[axis], self.spacing[axis]
        edges = (torch.arange(n + 1, dtype=torch.float64) - n / 2) * s / self.pixel + GRID / 2
        cells = torch.arange(GRID, dtype=torch.float64)[:, None]
        return (torch.minimum(edges[None, 1:], cells + 1) - torch.maximum(edges[None, :-1], cells)).clamp_min(0)


@lru_cache(maxsize=16)
def _averaging(canvas: Canvas, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(GRID, rows) and (GRID, columns) averages, and (GRID, GRID) relative attenuation where no image pixel covers."""
    down_y, down_x = (canvas.averaging(axis) for axis in (0, 1))
    around = (1 - down_y.sum(1)[:, None] * down_x.sum(1)[None]).clamp_min(0) * _inside_ellipse(canvas)
    return down_y.float().to(device), down_x.float().to(device), around.float().to(device)


def _inside_ellipse(canvas: Canvas) -> torch.Tensor:
    """(GRID, GRID) share of each coarse pixel that the assumed ellipse holds."""
    if canvas.ellipse is None:
        return torch.zeros(GRID, GRID)
    centre = (torch.arange(GRID, dtype=torch.float64) - (GRID - 1) / 2) * canvas.pixel
    radius = (centre[:, None] / canvas.ellipse[0]) ** 2 + (centre[None] / canvas.ellipse[1]) ** 2
    # A soft edge one coarse pixel wide instead of a staircase.
    return ((1 - radius.sqrt()) * min(canvas.ellipse) / canvas.pixel + 0.5).clamp(0, 1)


class Projector:
    """The sparse parallel projector of the coarse grid, in units of coarse pixels; get it from `projector`."""

    def __init__(self, device: torch.device) -> None:
        indices, weights = _footprints()
        size = (ANGLES * BINS, GRID * GRID)
        with warnings.catch_warnings():
            # torch says of its compressed sparse rows that they are in beta; products with them are tested here.
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
            matrix = torch.sparse_coo_tensor(indices, weights, size, check_invariants=False).coalesce()
            self._matrix = _compressed(matrix).to(device)

    def project(self, coarse: torch.Tensor) -> torch.Tensor:
        """(n, GRID, GRID) → (n, ANGLES, BINS): sums along rays, in coarse pixels (multiply by `Canvas.pixel`).

        The matrix is read once for `TOGETHER` slices; fewer are filled up, so that each gives the same bits whatever
        stands beside it.
        """
        n = len(coarse)
        columns = torch.nn.functional.pad(coarse.reshape(n, -1), (0, 0, 0, -n % TOGETHER)).T
        rays = torch.cat([self._matrix @ part.contiguous() for part in columns.split(TOGETHER, dim=1)], dim=1)
        return rays[:, :n].T.contiguous().view(n, ANGLES, BINS)


@lru_cache(maxsize=4)
def projector(device: torch.device) -> Projector:
    """The projector of a device; built once (about a second)."""
    return Projector(device)


def bin_centres(device: torch.device | None = None) -> torch.Tensor:
    """(BINS,) detector coordinate u of the bins, in coarse pixels from the centre."""
    return torch.arange(BINS, dtype=torch.float32, device=device) - (BINS - 1) / 2


def sample_rays(rays: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Linear interpolation of (ANGLES, BINS) rays at detector coordinates (points, ANGLES), in coarse pixels."""
    position = (u + (BINS - 1) / 2).clamp(0, BINS - 1.001)
    low = position.floor().long()
    t = (position - low).to(rays)
    columns = rays.T
    return columns.gather(0, low) * (1 - t) + columns.gather(0, low + 1) * t


def _compressed(matrix: torch.Tensor) -> torch.Tensor:
    """Compressed sparse rows with 32-bit indices, which MKL would otherwise convert at every product."""
    rows = matrix.to_sparse_csr()
    return torch.sparse_csr_tensor(
        rows.crow_indices().int(), rows.col_indices().int(), rows.values(), rows.shape, check_invariants=False
    )


def _footprints() -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (2, entries) and weights: each pixel's trapezoidal footprint integrated over the bins it meets."""
    centre = torch.arange(GRID, dtype=torch.float64) - (GRID - 1) / 2
    y, x = (c.reshape(-1) for c in torch.meshgrid(centre, centre, indexing="ij"))
    pixels = torch.arange(GRID * GRID)
    indices, weights = [], []
    for k, theta in enumerate(angles().tolist()):
        c, s = abs(math.cos(theta)), abs(math.sin(theta))
        u = x * math.cos(theta) + y * math.sin(theta) + BINS / 2
        first = (u - (c + s) / 2).floor()
        for j in range(3):
            left = first + j
            weight = _trapezoid(left + 1 - u, c, s) - _trapezoid(left - u, c, s)
            used = weight > 1e-6
            indices.append(torch.stack([k * BINS + left[used].long(), pixels[used]]))
            weights.append(weight[used].float())
    return torch.cat(indices, dim=1), torch.cat(weights)


def _trapezoid(t: torch.Tensor, c: float, s: float) -> torch.Tensor:
    """Area below t of the unit-area trapezoid that is the convolution of boxes of widths c and s."""
    long, short = max(c, s), min(c, s)
    if short < 1e-9:
        return (t / long + 0.5).clamp(0, 1)

    def ramp(v: torch.Tensor) -> torch.Tensor:
        return v.clamp_min(0) ** 2 / 2

    a, b = (long + short) / 2, (long - short) / 2
    return (ramp(t + a) - ramp(t + b) - ramp(t - b) + ramp(t - a)) / (long * short)
