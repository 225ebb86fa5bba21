"""Flux, kernel, bowtie and tube-current modulation by Whittle's likelihood of patch periodograms.

The periodogram P of Gaussian noise with spectrum S has ln-likelihood −Σ [ln S + P/S] (Whittle 1953). S is the FBP model
of `nps` with the exact variance of the rays through the patch, as a Hann window spreads it, plus one steep anatomical
nuisance A ρ⁻³ a CT.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .counts import CountTable
from .evidence import NoiseEvidence, Rays
from .geometry import ANGLES
from .nps import frequency_grid, kernel_ln_h2, over_angles, ramp_spectrum
from .parameters import KERNEL_MTF50, PRESET_BOWTIE, knot_frequencies
from .patches import PATCH, highest_cycles, window_spread

_STEPS = (200, 100, 100)
_LOWEST_BINS = 2.5
_CURVATURE = 20.0
_BEND = 200.0
_PARABOLA = 5000.0
_START_RANGE = (-0.2, 0.1)
_BOWTIE_PRIOR = (PRESET_BOWTIE, 1.0)
_MODULATION_PRIOR = (0.0, 0.3)
_NO_MODULATION = 0.05
_FLUX_STEP = 0.2
_START_SHARE = 0.03
_DEVIATIONS = 2.5
_TOLERANCE = 1e-3
_PATCHES_A_FLUX = 8
_HALF = -2 * math.log(2)

Parameters = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Shape:
    """What CTs of one scanner and kernel share: kernel knots (mm⁻¹, ln H²), bowtie and modulation strengths."""

    frequencies: tuple[float, ...]
    ln_h2: tuple[float, ...]
    bowtie: float
    tube_modulation: float

    @property
    def mtf50(self) -> float:
        """Frequency in mm⁻¹ where H first falls to one half; the last knot where it does not."""
        for i, (low, high) in enumerate(itertools.pairwise(self.ln_h2)):
            if high < _HALF:
                part = (low - _HALF) / (low - high)
                return self.frequencies[i] + part * (self.frequencies[i + 1] - self.frequencies[i])
        return self.frequencies[-1]


@dataclass(frozen=True, eq=False)
class Flux:
    """Flux of one CT: ln N₀ at some slices, and the patches that it rests on."""

    slices: tuple[float, ...]
    ln_flux: tuple[float, ...]
    patches: int


@dataclass(frozen=True, eq=False)
class WhittleFit:
    """Estimates.

    Attributes:
        shape: Common to all CTs.
        fluxes: One a CT, in the order given.
        misfit: Median over patches of mean P/S in the upper band, 1 where the model holds.
    """

    shape: Shape
    fluxes: tuple[Flux, ...]
    misfit: float


@dataclass(frozen=True, eq=False)
class _Sample:
    """Pooled patches: bins in use, rays, index of the CT and of the flux of each patch, readings of each CT."""

    power: torch.Tensor
    rays: Rays
    case: torch.Tensor
    group: torch.Tensor
    case_of_group: torch.Tensor
    readings: torch.Tensor

    def rows(self, keep: torch.Tensor) -> _Sample:
        return _Sample(
            self.power[keep],
            self.rays.rows(keep),
            self.case[keep],
            self.group[keep],
            self.case_of_group,
            self.readings,
        )


class _Model:
    """Bins of the periodogram in use and the expected spectrum at given parameters."""

    def __init__(self, evidence: Sequence[NoiseEvidence], table: CountTable, shape: Shape | None) -> None:
        pixels = _double([math.sqrt(e.spacing[1] * e.spacing[2]) for e in evidence])
        ratio = math.sqrt(evidence[0].spacing[1] / evidence[0].spacing[2])
        # Frequencies per pixel are common to all CTs; only their scale in mm⁻¹ differs.
        cycles, theta = frequency_grid((PATCH, PATCH), (ratio, 1 / ratio))
        lowest = _LOWEST_BINS / PATCH
        highest = highest_cycles(torch.cat([e.power for e in evidence]), cycles, lowest)
        self.used = (cycles > lowest) & (cycles < highest)
        self.cycles = cycles[self.used]
        self.window = window_spread()[:, self.used.flatten()]
        # The bins that leak into those in use, by their own frequency and direction.
        source = (self.window > 0).any(1)
        self.window = self.window[source]
        self.rho = cycles.flatten()[source] / pixels[:, None]
        self.to_bins = over_angles(torch.eye(ANGLES, dtype=torch.float64), theta.flatten()[source])
        columns = torch.full((PATCH // 2 + 1,), 2.0, dtype=torch.float64)
        columns[0] = columns[-1] = 1
        self.weight = columns.expand(PATCH, -1)[self.used]
        self.ramp = ramp_spectrum(self.rho)
        self.anatomy = (self.cycles / lowest) ** -3
        self.frequencies = shape.frequencies if shape else knot_frequencies(highest / float(pixels.min()))
        self.knots = _double(self.frequencies)
        self.table = table
        self.low = self.cycles < 1.6 * lowest
        self.high = self.cycles > 0.5 * self.cycles.max()
        self.fixed: Parameters = {}
        if shape:
            self.fixed = {
                "ln_h2": _double(shape.ln_h2[1:]),
                "bowtie": _unbounded(shape.bowtie),
                "modulation": _unbounded(shape.tube_modulation),
            }
        elif evidence[0].ellipse_mm:
            # The place of a crop in the beam is unknown.
            self.fixed = {"bowtie": _unbounded(_BOWTIE_PRIOR[0]), "modulation": _unbounded(_NO_MODULATION)}

    def kernel(self, p: Parameters) -> torch.Tensor:
        """(CTs, source bins) NPS for a ray variance of 1."""
        return self.ramp * torch.exp(kernel_ln_h2(self.rho, self.knots, with_unit_start(p["ln_h2"])))

    def noise(self, p: Parameters, sample: _Sample) -> torch.Tensor:
        """(patches, bins) expected periodogram of the noise."""
        readings = sample.readings[sample.case][:, None]
        ln_counts = p["ln_flux"][sample.group][:, None] - torch.log(readings) - sample.rays.path
        ln_counts = ln_counts - positive(p["bowtie"]) * sample.rays.bowtie
        ln_counts = ln_counts + positive(p["modulation"]) * sample.rays.modulation
        variance = self.table.variance(torch.exp(ln_counts)) / readings
        return (self.kernel(p)[sample.case] * (variance @ self.to_bins)) @ self.window

    def structure(self, p: Parameters, sample: _Sample) -> torch.Tensor:
        """(patches, bins) power of anatomy, one level a CT: free in each patch, it would swallow noise."""
        return torch.exp(p["ln_anatomy"])[sample.case][:, None] * self.anatomy

    def excess(self, p: Parameters, sample: _Sample, band: torch.Tensor) -> torch.Tensor:
        """(patches,) mean of found over expected power in a band."""
        return (sample.power / (self.noise(p, sample) + self.structure(p, sample)))[:, band].mean(1)

    def loss(self, p: Parameters, sample: _Sample) -> torch.Tensor:
        """Negative ln-likelihood (Hann windows leave about half of the bins independent) and priors."""
        spectrum = self.noise(p, sample) + self.structure(p, sample)
        likelihood = ((torch.log(spectrum) + sample.power / spectrum) * self.weight).sum() / 4
        prior = sum(
            ((positive(p[name]) - mean) / spread).square().sum()
            for name, (mean, spread) in (("bowtie", _BOWTIE_PRIOR), ("modulation", _MODULATION_PRIOR))
        )
        same = sample.case_of_group[1:] == sample.case_of_group[:-1]
        rough = (p["ln_flux"].diff().square() * same).sum() / (2 * _FLUX_STEP**2)
        return likelihood + kernel_penalty(with_unit_start(p["ln_h2"]), self.knots) + prior / 2 + rough


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


def fit(
    evidence: Sequence[NoiseEvidence], readings: Sequence[int], table: CountTable, *, shape: Shape | None = None
) -> WhittleFit:
    """Maximise the likelihood by L-BFGS in three rounds, each without the patches that hold too much structure.

    Args:
        evidence: CTs of one scanner and kernel, each with at least one patch; crops or whole fields of view.
        readings: Detector readings merged into one ray, one a CT.
        table: Count statistics of a reading.
        shape: Known, so that only fluxes are fitted.
    """
    model = _Model(evidence, table, shape)
    sample = _pooled(evidence, readings, model)
    parameters = _start(model, sample)
    keep = torch.ones(len(sample.power), dtype=torch.bool)
    for steps in _STEPS:
        parameters = _maximise(model, parameters, sample.rows(keep), steps)
        with torch.no_grad():
            ratio = model.excess(parameters, sample, model.high)
            keep = _quiet(ratio)
            both = keep & _quiet(model.excess(parameters, sample, model.low))
            keep = both if both.any() else keep
    found = Shape(
        model.frequencies,
        tuple(with_unit_start(parameters["ln_h2"]).tolist()),
        float(positive(parameters["bowtie"])),
        float(positive(parameters["modulation"])),
    )
    slices = np.concatenate([e.slices for e in evidence])
    fluxes = tuple(_flux(parameters["ln_flux"], sample, slices, keep, case) for case in range(len(evidence)))
    return WhittleFit(found, fluxes, float(ratio[keep].median()))


def _quiet(ratio: torch.Tensor) -> torch.Tensor:
    """Patches not far above the middle in ln; middle and deviation from the lower tail, which structure spares."""
    level = torch.log(ratio)
    low, quarter = torch.quantile(level, torch.tensor([0.05, 0.25], dtype=level.dtype))
    deviation = (quarter - low) / 0.97
    return level <= quarter + (0.674 + _DEVIATIONS) * deviation


def _flux(ln_flux: torch.Tensor, sample: _Sample, slices: NDArray[np.int64], keep: torch.Tensor, case: int) -> Flux:
    groups = (sample.case_of_group == case).nonzero()[:, 0].tolist()
    centres = tuple(float(slices[(sample.group == g).numpy()].mean()) for g in groups)
    return Flux(centres, tuple(ln_flux[groups].tolist()), int(keep[sample.case == case].sum()))


def _pooled(evidence: Sequence[NoiseEvidence], readings: Sequence[int], model: _Model) -> _Sample:
    groups: list[torch.Tensor] = []
    case_of_group: list[int] = []
    for case, e in enumerate(evidence):
        own = flux_groups(e.slices)
        groups.append(torch.from_numpy(own) + len(case_of_group))
        case_of_group += [case] * (int(own.max()) + 1)
    names = ("path", "bowtie", "modulation")
    rays = Rays(*(torch.cat([getattr(e.rays, name) for e in evidence]).double() for name in names))
    return _Sample(
        torch.cat([e.power for e in evidence])[:, model.used].double(),
        rays,
        torch.cat([torch.full((len(e),), case) for case, e in enumerate(evidence)]),
        torch.cat(groups),
        torch.tensor(case_of_group),
        _double(readings),
    )


def flux_groups(slices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the flux of each patch: consecutive slices share one until it holds `_PATCHES_A_FLUX` patches."""
    groups = np.zeros(len(slices), dtype=np.int64)
    group, held = 0, 0
    for z in np.unique(slices):
        here = slices == z
        if held >= _PATCHES_A_FLUX and (slices >= z).sum() >= _PATCHES_A_FLUX:
            group, held = group + 1, 0
        groups[here] = group
        held += int(here.sum())
    return groups


def _start(model: _Model, sample: _Sample) -> Parameters:
    """The standard kernel, fluxes that match the middle band, and next to no anatomy: noise explains first."""
    half = KERNEL_MTF50["standard"]
    parameters = {
        "ln_flux": torch.full((len(sample.case_of_group),), math.log(1e6), dtype=torch.float64),
        "ln_h2": -2 * math.log(2) * (model.knots[1:] / half) ** 2,
        "bowtie": _unbounded(_BOWTIE_PRIOR[0]),
        "modulation": _unbounded(_NO_MODULATION),
        "ln_anatomy": torch.full((len(sample.readings),), -30.0, dtype=torch.float64),
        **model.fixed,
    }
    middle = (model.cycles > 0.3 * model.cycles.max()) & ~model.high
    ratio = model.excess(parameters, sample, middle)
    for group in range(len(sample.case_of_group)):
        own = ratio[sample.group == group]
        parameters["ln_flux"][group] -= torch.log(torch.quantile(own, 0.25).clamp_min(1e-6))
    with torch.no_grad():
        low = model.noise(parameters, sample)[:, model.low].mean(1)
    for case in range(len(sample.readings)):
        parameters["ln_anatomy"][case] = torch.log(_START_SHARE * low[sample.case == case].median())
    return parameters


def _maximise(model: _Model, parameters: Parameters, sample: _Sample, steps: int) -> Parameters:
    """One round of L-BFGS."""
    active = {k: v.clone() for k, v in parameters.items()}
    free = [v.requires_grad_() for k, v in active.items() if k not in model.fixed]
    optimiser = torch.optim.LBFGS(
        free, max_iter=steps, history_size=20, line_search_fn="strong_wolfe", tolerance_change=_TOLERANCE
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = model.loss(active, sample)
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return {name: value.detach() for name, value in active.items()}


def _unbounded(strength: float) -> torch.Tensor:
    """Inverse of `positive`."""
    return _double(max(strength, 1e-4)).expm1().log()


def _double(values: float | Sequence[float]) -> torch.Tensor:
    """Sums of 10⁵ logarithms need float64 for a line search to see its way."""
    return torch.tensor(values, dtype=torch.float64)
