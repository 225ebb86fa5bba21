"""What the training cohort was like, as far as a new CT can be compared with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import QUANTILE_LEVELS, CaseFingerprint, Fingerprint
from reactkd_auto.plan import Plan

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the HU in the regions: without the tails, which single voxels of metal, air and noise decide."""
_PLACES = [QUANTILE_LEVELS.index(level) for level in LEVELS]
_NORMAL = norm.ppf(LEVELS)
ADDED_NOISE_STEPS = 8
MARGIN = 3.0
"""Times the distance to the nearest other case that 95 % of training cases keep."""
SMALLEST_LIMIT_HU = 20.0
"""A cohort of one scanner and few cases may vary less; no contrast phase or kernel is told by less."""
SIZE_MARGIN = 2.0
"""How much smaller or larger than in any training case a plausible organ or lesion may be."""
FEWEST_CASES = 5
MOST_CASES = 1000
"""More are thinned evenly: their distances to each other say the same."""

Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Domain:
    """Limits of what prediction answers.

    Attributes:
        quantiles: (cases, levels) HU in the regions of training cases; no row where they say nothing.
        limit_hu: Largest plausible distance (`distance_hu`) to the most similar training case.
        added_noise_hu: Standard deviations of noise that training may have added by degrading dose, from 0.
        noise_hu: Noise of CTs as training saw them, degraded ones included; None where unknown.
        highest_hu: Largest value in any training image; None where unknown.
        organ_mm3: Plausible volumes; None where no training case had an organ.
        organ_always: Whether every training case with regions had one.
        extent_mm: Largest plausible (z, y, x) edges of the box round all regions.
    """

    quantiles: NDArray[np.float64]
    limit_hu: float
    added_noise_hu: tuple[float, ...] = (0.0,)
    noise_hu: Range | None = None
    highest_hu: float | None = None
    organ_mm3: Range | None = None
    organ_always: bool = False
    extent_mm: tuple[float, float, float] | None = None

    def distance_hu(self, quantiles: NDArray[np.float64]) -> float:
        """Mean difference in HU from the most similar training case over `LEVELS`; 0 where there is none to compare.

        Similar up to noise that training may have added: Gaussian noise of SD σ moves a quantile q at level l to about
        m ± √((q − m)² + (z_l σ)²), with the median m and normal quantiles z_l.
        """
        if not len(self.quantiles):
            return 0.0
        return min(float(_distances(quantiles, _noisier(self.quantiles, s)).min()) for s in self.added_noise_hu)


def domain_of(fingerprint: Fingerprint | None, plan: Plan, dataset: Dataset) -> Domain:
    """What a model's fingerprint and plan say about its cohort; without a fingerprint nothing is implausible."""
    cases = () if fingerprint is None else fingerprint.cases
    quantiles = _quantiles(cases, dataset)
    noise = [c.dose.noise_hu for c in cases if c.dose is not None and c.dose.noise_hu is not None]
    most_noise = 1 / math.sqrt(plan.dose.range[0]) if plan.dose.enabled else 1.0
    organs = [c.organ_volume_mm3 for c in cases if c.organ_volume_mm3]
    with_regions = [c for c in cases if c.region_extent_mm is not None]
    extents = [c.region_extent_mm for c in cases if c.region_extent_mm is not None]
    ct = dataset.base.name
    return Domain(
        quantiles=quantiles,
        limit_hu=_limit(quantiles),
        added_noise_hu=_added(float(np.percentile(noise, 95)) if noise else 0.0, most_noise),
        noise_hu=(min(noise), max(noise) * most_noise) if noise else None,
        highest_hu=max((c.intensities[ct].highest for c in cases if ct in c.intensities), default=None),
        organ_mm3=(min(organs) / SIZE_MARGIN, SIZE_MARGIN * max(organs)) if organs else None,
        organ_always=bool(with_regions) and len(organs) == len(with_regions),
        extent_mm=None if not extents else _twice(extents),
    )


def at_levels(quantiles: tuple[float, ...]) -> NDArray[np.float64]:
    """The quantiles of a `reactkd_auto.fingerprint.Intensities` that are compared."""
    return np.array([quantiles[i] for i in _PLACES])


def _quantiles(cases: tuple[CaseFingerprint, ...], dataset: Dataset) -> NDArray[np.float64]:
    """Of the base channel, where it is a CT; none of fewer than five cases."""
    name = dataset.base.name
    rows = [at_levels(c.intensities[name].quantiles) for c in cases if name in c.intensities]
    if dataset.base.role != "ct" or len(rows) < FEWEST_CASES:
        return np.zeros((0, len(LEVELS)))
    return np.stack(rows)[:: math.ceil(len(rows) / MOST_CASES)]


def _limit(quantiles: NDArray[np.float64]) -> float:
    if not len(quantiles):
        return math.inf
    nearest = [_distances(q, np.delete(quantiles, i, axis=0)).min() for i, q in enumerate(quantiles)]
    return max(SMALLEST_LIMIT_HU, MARGIN * float(np.percentile(nearest, 95)))


def _distances(quantiles: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.abs(others - quantiles).mean(axis=1))


def _noisier(quantiles: NDArray[np.float64], sd: float) -> NDArray[np.float64]:
    median = quantiles[:, [LEVELS.index(0.5)]]
    away = quantiles - median
    return np.asarray(median + np.sign(_NORMAL) * np.sqrt(away**2 + (_NORMAL * sd) ** 2))


def _added(noise: float, most: float) -> tuple[float, ...]:
    """From 0 to what turns the noise of the cohort's CTs into that of the lowest dose."""
    return tuple(np.linspace(0, noise * math.sqrt(most**2 - 1), ADDED_NOISE_STEPS).tolist())


def _twice(extents: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    z, y, x = (SIZE_MARGIN * max(along) for along in zip(*extents, strict=True))
    return z, y, x
