"""What one CT says about its noise, small enough to be kept and pooled with other CTs of the same scanner."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.jsonio import atomic_path

from .geometry import GRID, MU_WATER, Canvas, angles, projector, sample_rays
from .parameters import DEFAULT_ELLIPSE_MM
from .patches import PATCH, Patches, find_patches
from .rays import bowtie_profile, modulation
from .volumes import AxialStack

MOST_PATCHES = 320
_MOST_SLICES = 24
_PROBE_SLICES = 6
_PROBES_A_SLICE = 24
_WHOLE_BODY_MM = 200.0
_BORDER_TISSUE = 0.3
_BODY = 0.3
_BAND = (0.2, 0.5)
"""mm⁻¹; below it anatomy rules, above it many images have no pixels small enough."""
_QUIET = 0.75
_FINE = 5


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays through points of slices: line integrals, (u / 150 mm)² and ln-modulation for κ = 1, (points, ANGLES)."""

    path: torch.Tensor
    bowtie: torch.Tensor
    modulation: torch.Tensor

    def __len__(self) -> int:
        return len(self.path)

    def rows(self, keep: torch.Tensor) -> Rays:
        """Some of the points."""
        return Rays(self.path[keep], self.bowtie[keep], self.modulation[keep])


@dataclass(frozen=True, eq=False)
class NoiseEvidence:
    """Soft-tissue patches of one CT, with the rays that meet in them.

    Attributes:
        spacing: (z, y, x) mm.
        depth: Slices of the CT.
        ellipse_mm: Semi-axes (y, x) of the body assumed around a crop; None for a whole field of view.
        slices: (n,) slice of each patch, rising.
        power: (n, PATCH, PATCH // 2 + 1) periodograms, HU² mm².
        rays: Through the patches' centres.
        probes: Rays through points all over the body.
        sd_hu: Median standard deviation of the patches, HU; 0 without any.
        kurtosis: Lower quartile over the patches of the excess kurtosis of what is finer than 5 pixels: about 0 for
            FBP, which adds many rays; positive where a non-linear filter left single pixels.
        sharpness: Mean frequency of their noise between 0.2 and 0.5 mm⁻¹; None without patches.
        z_correlation: Of the noise of neighbouring slices; None where no patch has a neighbour.
    """

    spacing: tuple[float, float, float]
    depth: int
    ellipse_mm: tuple[float, float] | None
    slices: NDArray[np.int64]
    power: torch.Tensor
    rays: Rays
    probes: Rays
    sd_hu: float
    kurtosis: float
    sharpness: float | None
    z_correlation: float | None

    def __len__(self) -> int:
        return len(self.slices)

    def thinned(self, most: int) -> NoiseEvidence:
        """The same with at most so many patches, evenly chosen."""
        if len(self) <= most:
            return self
        keep = torch.from_numpy(np.unique(np.linspace(0, len(self) - 1, most).round().astype(np.int64)))
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        chosen = {"slices": self.slices[keep.numpy()], "power": self.power[keep], "rays": self.rays.rows(keep)}
        return NoiseEvidence(**{**values, **chosen})


def noise_level(stack: AxialStack) -> float | None:
    """What `NoiseEvidence.sd_hu` is, without the rest of the evidence; None without any patch."""
    return _median_sd(_patches(stack))


def gather(stack: AxialStack) -> NoiseEvidence:
    """Find the patches of a CT and project the slices that they lie in."""
    ellipse = assumed_ellipse(stack)
    canvas = Canvas((stack.array.shape[1], stack.array.shape[2]), stack.spacing[1:], ellipse)
    patches = _patches(stack)
    centres = (torch.from_numpy(patches.corners) + (PATCH - 1) / 2).float()
    low, high = _band(stack.spacing[1:])
    return NoiseEvidence(
        spacing=stack.spacing,
        depth=len(stack.array),
        ellipse_mm=ellipse,
        slices=patches.slices,
        power=patches.periodograms,
        rays=_rays_through(centres, patches.slices, stack.array, canvas),
        probes=_probes(stack.array, canvas),
        sd_hu=_median_sd(patches) or 0.0,
        kurtosis=_kurtosis(patches.pixels),
        sharpness=_mean_frequency(patches.periodograms, stack.spacing[1:], low, high),
        z_correlation=_z_correlation(stack, patches, low),
    )


def _patches(stack: AxialStack) -> Patches:
    return find_patches(stack.array, stack.spacing, _chosen_slices(len(stack.array)), most=MOST_PATCHES)


def _median_sd(patches: Patches) -> float | None:
    return float(np.median(patches.pixels.std(axis=(1, 2)))) if len(patches) else None


def assumed_ellipse(stack: AxialStack) -> tuple[float, float] | None:
    """Semi-axes (y, x) in mm of the body assumed around a crop; None where the slices hold the whole body.

    A crop is less than 200 mm wide, or has tissue along more than 30 % of its border. The ellipse (an average adult
    trunk, centred on the crop) grows until it holds the crop's half-widths.
    """
    extents = [n * s for n, s in zip(stack.array.shape[1:], stack.spacing[1:], strict=True)]
    slices = stack.array[:: max(1, len(stack.array) // 16)]
    border = np.concatenate(
        [slices[:, 0].ravel(), slices[:, -1].ravel(), slices[:, :, 0].ravel(), slices[:, :, -1].ravel()]
    )
    if min(extents) >= _WHOLE_BODY_MM and float(np.mean(border > -500)) <= _BORDER_TISSUE:
        return None
    growth = max(1.0, *(e / 2 / a for e, a in zip(extents, DEFAULT_ELLIPSE_MM, strict=True)))
    return DEFAULT_ELLIPSE_MM[0] * growth, DEFAULT_ELLIPSE_MM[1] * growth


def write_evidence(path: Path, evidence: NoiseEvidence) -> None:
    """Write an ``.npz`` file, atomically; periodograms and rays in half precision (0.1 %)."""
    arrays: dict[str, Any] = {
        "spacing": np.array(evidence.spacing),
        "depth": np.array(evidence.depth),
        "ellipse_mm": np.array(evidence.ellipse_mm or ()),
        "slices": evidence.slices,
        "ln_power": torch.log(evidence.power.clamp_min(1e-12)).half().numpy(),
        "numbers": np.array(
            [evidence.sd_hu, evidence.kurtosis, *(_or_nan(v) for v in (evidence.sharpness, evidence.z_correlation))]
        ),
    }
    for name in ("rays", "probes"):
        rays = getattr(evidence, name)
        arrays[name] = torch.stack([rays.path, rays.bowtie, rays.modulation]).half().numpy()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_evidence(path: Path) -> NoiseEvidence:
    """Read what `write_evidence` wrote.

    Raises:
        OSError, ValueError, KeyError: Missing or damaged.
    """
    with np.load(path) as file:
        sd, kurtosis, sharpness, z_correlation = (float(v) for v in file["numbers"])
        ellipse = tuple(float(v) for v in file["ellipse_mm"])
        z, y, x = (float(v) for v in file["spacing"])
        rays, probes = (Rays(*torch.from_numpy(file[name]).float()) for name in ("rays", "probes"))
        return NoiseEvidence(
            spacing=(z, y, x),
            depth=int(file["depth"]),
            ellipse_mm=(ellipse[0], ellipse[1]) if ellipse else None,
            slices=file["slices"],
            power=torch.exp(torch.from_numpy(file["ln_power"]).float()),
            rays=rays,
            probes=probes,
            sd_hu=sd,
            kurtosis=kurtosis,
            sharpness=None if np.isnan(sharpness) else sharpness,
            z_correlation=None if np.isnan(z_correlation) else z_correlation,
        )


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _chosen_slices(depth: int) -> list[int]:
    """Up to 24 slices, evenly spaced, each with a following one where there is one."""
    last = max(0, depth - 2)
    return sorted({round(z) for z in np.linspace(0, last, min(_MOST_SLICES, last + 1))})


def _rays_through(
    centres: torch.Tensor, slices: NDArray[np.int64], volume: NDArray[np.generic], canvas: Canvas
) -> Rays:
    """Rays through (row, column) points of slices."""
    middle = torch.tensor([(n - 1) / 2 for n in canvas.shape])
    points = (centres - middle) * torch.tensor(canvas.spacing) / canvas.pixel
    parts = []
    for z in np.unique(slices):
        hu = torch.from_numpy(np.ascontiguousarray(volume[z : z + 1], dtype=np.float32))
        path = projector(hu.device).project(canvas.attenuation(hu)) * canvas.pixel
        parts.append(_sampled(path, points[torch.from_numpy(slices == z)], canvas))
    return _joined(parts)


def _probes(volume: NDArray[np.generic], canvas: Canvas) -> Rays:
    """Rays through a regular subset of the body's coarse pixels of a few slices."""
    covered = (canvas.averaging(0).sum(1) > 0.5)[:, None] & (canvas.averaging(1).sum(1) > 0.5)[None]
    parts = []
    for z in sorted({round(z) for z in np.linspace(0, len(volume) - 1, min(_PROBE_SLICES, len(volume)))}):
        coarse = canvas.attenuation(torch.from_numpy(np.ascontiguousarray(volume[z : z + 1], dtype=np.float32)))
        body = (covered & (coarse[0] > _BODY * MU_WATER)).nonzero()
        points = body[:: max(1, len(body) // _PROBES_A_SLICE)][:_PROBES_A_SLICE].float() - (GRID - 1) / 2
        path = projector(coarse.device).project(coarse) * canvas.pixel
        parts.append(_sampled(path, points, canvas))
    return _joined(parts)


def _sampled(path: torch.Tensor, points: torch.Tensor, canvas: Canvas) -> Rays:
    """Rays of one slice (1, ANGLES, BINS) through points (n, 2) in coarse pixels from the centre."""
    theta = angles().float()
    u = points[:, 1:] * torch.cos(theta) + points[:, :1] * torch.sin(theta)
    turned = modulation(path, 1.0)[0, :, 0].expand(len(points), -1)
    return Rays(sample_rays(path[0], u), bowtie_profile(u * canvas.pixel), turned)


def _joined(parts: list[Rays]) -> Rays:
    empty = torch.zeros(0, len(angles()))
    return Rays(*(torch.cat([empty, *(getattr(p, f.name) for p in parts)]) for f in fields(Rays)))


def _band(pixel: tuple[float, float]) -> tuple[float, float]:
    """The band that sharpness is told in; half as high where the pixels are too coarse for it."""
    nyquist = 0.5 / max(pixel)
    return min(_BAND[0], 0.5 * nyquist), min(_BAND[1], nyquist)


def _mean_frequency(power: torch.Tensor, pixel: tuple[float, float], low: float, high: float) -> float | None:
    if not len(power):
        return None
    rho = torch.hypot(torch.fft.fftfreq(PATCH, d=pixel[0])[:, None], torch.fft.rfftfreq(PATCH, d=pixel[1])[None])
    used = (rho > low) & (rho < high)
    band = power[:, used]
    quiet = band[band.mean(1) <= torch.quantile(band.mean(1), _QUIET)].mean(0)
    # Per ring, so that the number of bins, which grows with frequency, does not count.
    return float((quiet * rho[used] / rho[used]).sum() / (quiet / rho[used]).sum())


def _kurtosis(pixels: NDArray[np.float32]) -> float:
    if not len(pixels):
        return 0.0
    fine = (pixels - ndimage.uniform_filter(pixels, (0, _FINE, _FINE)))[:, 3:-3, 3:-3].astype(np.float64)
    squares = (fine**2).mean(axis=(1, 2))
    return float(np.quantile((fine**4).mean(axis=(1, 2)) / np.maximum(squares**2, 1e-12) - 3, 0.25))


def _z_correlation(stack: AxialStack, patches: Patches, above: float) -> float | None:
    """Correlation of neighbouring slices' noise above a frequency, in the patches that hold least structure there."""
    window = np.outer(np.hanning(PATCH), np.hanning(PATCH))
    frequencies = [np.fft.fftfreq(PATCH, d=s) for s in stack.spacing[1:]]
    high = np.hypot(frequencies[0][:, None], frequencies[1][None]) > above
    sums = []
    for z, (r, c) in zip(patches.slices, patches.corners, strict=True):
        if z + 1 < len(stack.array):
            pair = np.nan_to_num(np.asarray(stack.array[z : z + 2, r : r + PATCH, c : c + PATCH], dtype=float))
            a, b = (np.fft.fft2((p - p.mean()) * window)[high] for p in pair)
            sums.append(((a * b.conj()).real.sum(), (abs(a) ** 2).sum(), (abs(b) ** 2).sum()))
    if not sums:
        return None
    table = np.array(sums)
    quiet = table[table[:, 1:].max(1) <= np.quantile(table[:, 1:].max(1), _QUIET)].sum(0)
    return float(quiet[0] / np.sqrt(max(quiet[1] * quiet[2], 1e-12)))
