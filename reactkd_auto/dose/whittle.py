"""Flux, kernel, bowtie and tube-current modulation by Whittle's likelihood of patch periodograms.

The periodogram P of Gaussian noise with spectrum S has ln-likelihood −Σ [ln S + P/S] (Whittle 1953). S is the FBP model
of `nps` with the exact variance of the rays through the patch, plus a steep anatomical nuisance A ρ⁻³ per patch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from .geometry import ANGLES, angles, sample_rays
from .nps import frequency_grid, kernel_ln_h2, over_angles, ramp_spectrum
from .parameters import KERNEL_MTF50, PRESET_BOWTIE, knot_frequencies
from .patches import PATCH, Patches
from .rays import RayNoise, bowtie_profile, modulation

_STEPS = (60, 30, 30)
_ANATOMY_COST = 1.0
_LOWEST_BINS = 2.5
_CURVATURE = 20.0
_BEND = 200.0
_PARABOLA = 5000.0
_ANATOMY_SCATTER = 1.5
_START_RANGE = (-0.2, 0.1)
_BOWTIE_PRIOR = (PRESET_BOWTIE, 1.0)
_MODULATION_PRIOR = (0.0, 0.3)
_EXCESS = 1.3


@dataclass(frozen=True, eq=False)
class WhittleFit:
    """Estimates of one CT.

    Attributes:
        ln_flux: (groups,) ln N₀ of each group of slices, in the order of ``groups``.
        frequencies, ln_h2: Kernel knots.
        bowtie, tube_modulation: As in `DoseCalibration`.
        kept: (patches,) bool, patches that entered the last round.
        centroid: Mean frequency of the model's NPS, mm⁻¹.
        misfit: Median over patches of mean P/S in the upper band, 1 where the model holds.
    """

    ln_flux: tuple[float, ...]
    frequencies: tuple[float, ...]
    ln_h2: tuple[float, ...]
    bowtie: float
    tube_modulation: float
    kept: np.ndarray
    centroid: float
    misfit: float


@dataclass(frozen=True, eq=False)
class PatchRays:
    """Rays through the patches' centres: path length integrals, (u / 150 mm)² and ln-modulation, (patches, ANGLES)."""

    path: torch.Tensor
    bowtie: torch.Tensor
    modulation: torch.Tensor


class _Model:
    """Bins of the periodogram in use and the expected spectrum at given parameters."""

    def __init__(self, rays: RayNoise, frequencies: tuple[float, ...]) -> None:
        spacing = rays.canvas.spacing
        rho, theta = frequency_grid((PATCH, PATCH), spacing)
        lowest = _LOWEST_BINS / (PATCH * min(spacing))
        self.used = (rho > lowest) & (rho < frequencies[-1])
        self.rho = rho[self.used].float()
        self.to_bins = over_angles(torch.eye(ANGLES, dtype=torch.float64), theta[self.used]).float()
        columns = torch.full((PATCH // 2 + 1,), 2.0)
        columns[0] = columns[-1] = 1
        self.weight = columns.expand(PATCH, -1)[self.used]
        self.ramp = ramp_spectrum(self.rho)
        self.anatomy = (self.rho / lowest) ** -3
        self.knots = torch.tensor(frequencies)
        self.cropped = rays.canvas.ellipse is not None
        self.table, self.readings = rays.table, rays.calibration.readings
        self.low = self.rho < 1.6 * lowest
        self.high = self.rho > 0.55 * self.rho.max()

    def noise(self, p: dict[str, torch.Tensor], rays: PatchRays, group: torch.Tensor) -> torch.Tensor:
        """(patches, bins) model NPS of the noise."""
        ln_counts = p["ln_flux"][group][:, None] - math.log(self.readings) - rays.path
        ln_counts = ln_counts - positive(p["bowtie"]) * rays.bowtie
        ln_counts = ln_counts + positive(p["modulation"]) * rays.modulation
        variance = self.table.variance(torch.exp(ln_counts)) / self.readings
        shape = self.ramp * torch.exp(kernel_ln_h2(self.rho, self.knots, with_unit_start(p["ln_h2"])))
        return shape * (variance @ self.to_bins)

    def loss(
        self, p: dict[str, torch.Tensor], rays: PatchRays, group: torch.Tensor, power: torch.Tensor
    ) -> torch.Tensor:
        """Negative ln-likelihood (Hann windows leave about half of the bins independent) and priors."""
        spectrum = self.noise(p, rays, group) + torch.exp(p["ln_anatomy"])[:, None] * self.anatomy
        likelihood = ((torch.log(spectrum) + power / spectrum) * self.weight).sum() / 4
        prior = sum(
            ((positive(p[name]) - mean) / spread).square().sum()
            for name, (mean, spread) in (("bowtie", _BOWTIE_PRIOR), ("modulation", _MODULATION_PRIOR))
        )
        # Anatomy scatters about a common level and costs a little: free, it would swallow low-frequency noise.
        scatter = (p["ln_anatomy"] - p["anatomy_level"]).square().sum() / (2 * _ANATOMY_SCATTER**2)
        low = spectrum[:, self.low].mean(1)
        share = torch.exp(p["ln_anatomy"]) * self.anatomy[self.low].mean() / low
        scatter = scatter + _ANATOMY_COST * share.sum()
        rough = p["ln_flux"].diff().square().sum() * 12
        return likelihood + kernel_penalty(with_unit_start(p["ln_h2"]), self.knots) + prior / 2 + scatter + rough


def with_unit_start(ln_h2: torch.Tensor) -> torch.Tensor:
    """Knots with H(0) = 1 in front: FBP keeps HU, which is what identifies the flux."""
    return torch.cat([torch.zeros_like(ln_h2[:1]), ln_h2])


def positive(value: torch.Tensor) -> torch.Tensor:
    """Softplus: the bowtie's and the modulation's strengths are fitted free of bounds."""
    return torch.nn.functional.softplus(value)


def kernel_penalty(ln_h2: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """Smoothness of the kernel, and its start as a shallow parabola: what rises there is anatomy, not noise."""
    at_tenth = ln_h2[1] * (0.1 / frequencies[1]) ** 2
    low, high = _START_RANGE
    outside = (low - at_tenth).clamp_min(0) + (at_tenth - high).clamp_min(0)
    start = ((ln_h2[2] - 4 * ln_h2[1]).square() + outside.square()) * _PARABOLA
    second = ln_h2.diff(n=2)
    return start + second.square().sum() * _CURVATURE + second.diff().square().sum() * _BEND


def patch_rays(patches: Patches, volume: np.ndarray, rays: RayNoise) -> PatchRays:
    """Project the slices of the patches and sample the rays through the patches' centres."""
    theta = angles().float()
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    centres = torch.stack(
        [
            torch.from_numpy(
                (patches.corners[:, i] + (PATCH - 1) / 2 - (rays.canvas.shape[i] - 1) / 2)
                * rays.canvas.spacing[i]
                / rays.canvas.pixel
            )
            for i in (0, 1)
        ],
        dim=1,
    ).float()
    for z in np.unique(patches.slices):
        hu = torch.from_numpy(np.ascontiguousarray(volume[z : z + 1], dtype=np.float32))
        path = rays.projector.project(rays.canvas.attenuation(hu)) * rays.canvas.pixel
        at = centres[torch.from_numpy(patches.slices == z)]
        u = at[:, 1:] * torch.cos(theta) + at[:, :1] * torch.sin(theta)
        turned = modulation(path, 1.0)[0, :, 0].expand(len(at), -1)
        parts.append((sample_rays(path[0], u), bowtie_profile(u * rays.canvas.pixel), turned))
    return PatchRays(*(torch.cat(column) for column in zip(*parts, strict=True)))


def fit(patches: Patches, groups: np.ndarray, volume: np.ndarray, rays: RayNoise) -> WhittleFit:
    """Maximise the likelihood by L-BFGS in three rounds, each without the patches that hold too much structure.

    Args:
        patches: Sorted by slice.
        groups: (patches,) group of slices that shares one flux, from 0.
        volume: (z, y, x) HU.
        rays: Geometry, readings and electronic noise; its flux, kernel and filters are not used.
    """
    frequencies = knot_frequencies(0.55 / max(rays.canvas.spacing))
    model, through = _Model(rays, frequencies), patch_rays(patches, volume, rays)
    power, group = patches.periodograms[:, model.used], torch.from_numpy(groups)
    parameters = _start(model, through, group, power)
    keep = torch.ones(len(patches), dtype=torch.bool)
    for steps in _STEPS:
        data = (_rows(through, keep), group[keep], power[keep])
        _maximise(model, parameters, data, keep, steps)
        with torch.no_grad():
            ratio = (power / model.noise(parameters, through, group))[:, model.high].mean(1)
        keep = ratio < _EXCESS * torch.quantile(ratio, 0.25)
    with torch.no_grad():
        knots = with_unit_start(parameters["ln_h2"])
        shape = model.ramp * torch.exp(kernel_ln_h2(model.rho, model.knots, knots)) * model.weight
        centroid = float((shape * model.rho).sum() / shape.sum())
    return WhittleFit(
        tuple(parameters["ln_flux"].tolist()),
        frequencies,
        tuple(knots.tolist()),
        float(positive(parameters["bowtie"])),
        float(positive(parameters["modulation"])),
        keep.numpy(),
        centroid,
        float(ratio[keep].median()),
    )


def _start(model: _Model, rays: PatchRays, group: torch.Tensor, power: torch.Tensor) -> dict[str, torch.Tensor]:
    """The standard kernel, a flux that matches the middle band, and next to no anatomy: noise explains first."""
    half = KERNEL_MTF50["standard"]
    parameters = {
        "ln_flux": torch.full((int(group.max()) + 1,), math.log(1e6)),
        "ln_h2": -2 * math.log(2) * (model.knots[1:] / half) ** 2,
        "bowtie": torch.tensor(_BOWTIE_PRIOR[0]).expm1().log(),
        "modulation": torch.tensor(-3.0),
    }
    middle = (model.rho > 0.3 * model.rho.max()) & ~model.high
    ratio = (power / model.noise(parameters, rays, group))[:, middle].mean(1)
    parameters["ln_flux"] -= torch.log(torch.quantile(ratio, 0.25).clamp_min(1e-6))
    low = power[:, model.rho < 2 * model.rho.min()].mean(1)
    parameters["ln_anatomy"] = torch.log(low.clamp_min(1e-6)) - 4
    parameters["anatomy_level"] = parameters["ln_anatomy"].median()
    return parameters


def _maximise(
    model: _Model,
    parameters: dict[str, torch.Tensor],
    data: tuple[PatchRays, torch.Tensor, torch.Tensor],
    keep: torch.Tensor,
    steps: int,
) -> None:
    """One round of L-BFGS; writes the result into ``parameters``.

    In a crop the bowtie and the modulation stay at their presets: the place of the crop in the beam is unknown.
    """
    active = {k: (v[keep] if k == "ln_anatomy" else v).clone() for k, v in parameters.items()}
    fixed = ("bowtie", "modulation") if model.cropped else ()
    free = [v.requires_grad_() for k, v in active.items() if k not in fixed]
    optimiser = torch.optim.LBFGS(free, max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = model.loss(active, *data)
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    for name, value in active.items():
        if name == "ln_anatomy":
            parameters[name][keep] = value.detach()
        else:
            parameters[name] = value.detach()


def _rows(rays: PatchRays, keep: torch.Tensor) -> PatchRays:
    return PatchRays(rays.path[keep], rays.bowtie[keep], rays.modulation[keep])
