"""Soft-tissue patches of a full-dose CT and their noise periodograms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

PATCH = 32
_STRIDE = 16
_SOFT_TISSUE_HU = (-150.0, 200.0)
_LARGEST_GRADIENT = 6.0
_SMOOTHING_MM = 2.5
_EDGE_SHARE = 0.02
_HIGHEST = 0.55
_WEAKEST = 0.03


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of homogeneous soft tissue.

    Attributes:
        slices: (n,) slice of each.
        corners: (n, 2) first row and column of each.
        pixels: (n, PATCH, PATCH) HU after removal of a quadratic surface.
        periodograms: (n, PATCH, PATCH // 2 + 1) HU² mm², Hann-windowed.
    """

    slices: NDArray[np.int64]
    corners: NDArray[np.int64]
    pixels: NDArray[np.float32]
    periodograms: torch.Tensor

    def __len__(self) -> int:
        return len(self.slices)

    def subset(self, keep: NDArray[np.bool_]) -> Patches:
        """The patches where ``keep`` holds."""
        return Patches(
            self.slices[keep],
            self.corners[keep],
            self.pixels[keep],
            self.periodograms[torch.from_numpy(keep)],
        )


def find_patches(
    volume: NDArray[np.generic], spacing: tuple[float, float, float], slices: list[int], *, most: int
) -> Patches:
    """Patches whose smoothed gradient stays below 6 HU/mm, about ``most`` at the utmost, evenly from the slices."""
    found_slices, found_corners, found_pixels = [], [], []
    quota = max(4, -(-most // max(1, len(slices))))
    for z in slices:
        image = np.nan_to_num(np.asarray(volume[z], dtype=np.float32), nan=-1000.0)
        corners = _homogeneous_corners(image, spacing[1:])
        for row, column in corners[:: max(1, len(corners) // quota)][:quota]:
            found_slices.append(z)
            found_corners.append((row, column))
            found_pixels.append(image[row : row + PATCH, column : column + PATCH])
    pixels = detrended(np.array(found_pixels, dtype=np.float32).reshape(-1, PATCH, PATCH))
    return Patches(
        np.array(found_slices, dtype=np.int64),
        np.array(found_corners, dtype=np.int64).reshape(-1, 2),
        pixels,
        periodograms(pixels, spacing[1] * spacing[2]),
    )


def detrended(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, PATCH, PATCH) less their least-squares quadratic surfaces."""
    t = np.linspace(-1, 1, PATCH)
    y, x = np.meshgrid(t, t, indexing="ij")
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y]).reshape(6, -1)
    q, _ = np.linalg.qr(design.T)
    flat = patches.reshape(len(patches), PATCH * PATCH).astype(np.float64)
    return (flat - (flat @ q) @ q.T).reshape(patches.shape).astype(np.float32)


def periodograms(pixels: NDArray[np.float32], pixel_area: float) -> torch.Tensor:
    """|FFT of the Hann-windowed patch|² in HU² mm², float32; its mean over white noise of variance v is v × area."""
    if not len(pixels):
        return torch.zeros(0, PATCH, PATCH // 2 + 1)
    taper = window()
    spectrum = torch.fft.rfft2(torch.from_numpy(pixels) * taper)
    return spectrum.abs() ** 2 * (pixel_area / float((taper**2).sum()))


def window() -> torch.Tensor:
    """(PATCH, PATCH) periodic Hann window of the periodograms, float32."""
    taps = np.hanning(PATCH + 1)[:-1]
    return torch.from_numpy(np.outer(taps, taps)).float()


def window_spread() -> torch.Tensor:
    """(bins, bins) share of each bin's power that a Hann window carries to each bin, of the real FFT.

    |W|² of a periodic Hann window is (1/6, 2/3, 1/6) along each axis: it matters where the spectrum bends, near 0 and
    between streaks.
    """
    half = PATCH // 2 + 1
    taps = torch.tensor([1 / 6, 2 / 3, 1 / 6], dtype=torch.float64)
    spread = torch.zeros(PATCH, half, PATCH, half, dtype=torch.float64)
    rows = torch.arange(PATCH)
    for i, row_tap in enumerate(taps):
        for j, column_tap in enumerate(taps):
            for column in range(half):
                y, x = rows + i - 1, column + j - 1
                if x < 0 or x >= half:  # the other half of the plane is this one turned by 180°
                    y, x = -y, -x % PATCH
                spread[y % PATCH, x, rows, column] += row_tap * column_tap
    return spread.reshape(PATCH * half, PATCH * half)


def highest_cycles(power: torch.Tensor, cycles: torch.Tensor, lowest: float) -> float:
    """Cycles per pixel beyond which there is less than 3 % of the strongest ring's power: what is there leaked.

    Args:
        power: (n, PATCH, PATCH // 2 + 1) periodograms, one or more.
        cycles: (PATCH, PATCH // 2 + 1) frequency of each bin.
        lowest: Below it anatomy rules.
    """
    spectrum = (power / power.mean((1, 2), keepdim=True)).mean(0)
    ring = (cycles * PATCH).round().long().flatten()
    rings = torch.bincount(ring, weights=spectrum.double().flatten()) / torch.bincount(ring).clamp_min(1)
    first = math.ceil(lowest * PATCH)
    peak = first + int(rings[first:].argmax())
    weak = (rings[peak:] < _WEAKEST * rings[peak]).nonzero()
    return min(_HIGHEST, (peak + int(weak[0])) / PATCH) if len(weak) else _HIGHEST


def _homogeneous_corners(image: NDArray[np.float32], spacing: tuple[float, float]) -> list[tuple[int, int]]:
    """Corners on a regular grid of the patches that are soft tissue without edges."""
    if min(image.shape) < PATCH:
        return []
    sigma = [_SMOOTHING_MM / s for s in spacing]
    smooth = ndimage.gaussian_filter(image, sigma)
    slope_y, slope_x = np.gradient(smooth, *spacing)
    low, high = _SOFT_TISSUE_HU
    bad = (np.hypot(slope_y, slope_x) > _LARGEST_GRADIENT) | (smooth < low) | (smooth > high)
    total = np.pad(bad.cumsum(0).cumsum(1), ((1, 0), (1, 0))).astype(np.int64)
    rows = np.arange(0, image.shape[0] - PATCH + 1, _STRIDE)
    columns = np.arange(0, image.shape[1] - PATCH + 1, _STRIDE)
    r, c = np.meshgrid(rows, columns, indexing="ij")
    count = total[r + PATCH, c + PATCH] - total[r, c + PATCH] - total[r + PATCH, c] + total[r, c]
    good = count <= _EDGE_SHARE * PATCH**2
    return [(int(a), int(b)) for a, b in zip(r[good], c[good], strict=True)]
