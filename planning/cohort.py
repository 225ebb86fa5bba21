"""What the cohort is like: the numbers that planning rules read, derived from every case's fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import QUANTILE_LEVELS, CaseFingerprint, DoseMeasurement, Fingerprint, Intensities
from reactkd_auto.plan import TripleMm
from reactkd_auto.planning.triples import triple_mm

OUTLIER_FACTOR = 1.5
"""A case larger than this multiple of the 95th percentile does not decide the patch; it is zoomed to fit."""
REGION_SHARE_NEEDED = 0.8


@dataclass(frozen=True)
class PooledIntensities:
    """One channel over the cases that have it, every case weighing the same.

    Where the plan is made for regions, these are the cases with regions: the others were measured in the whole body.
    ``cases`` and ``highest`` are of all.
    """

    cases: int
    lower: float
    upper: float
    mean: float
    std: float
    case_peaks: tuple[float, ...]
    highest: float


@dataclass(frozen=True)
class NoiseSummary:
    """How the CTs' noise was calibrated.

    Attributes:
        cases: CTs measured.
        departures: Of each, at `LOW_DOSES`.
        cropped, presets, pooled: How many are crops, rest on a preset, were calibrated with others.
        assumed: Of how many path lengths or flux are not their own.
    """

    cases: int
    departures: tuple[tuple[float, ...], ...]
    cropped: int
    presets: int
    pooled: int
    assumed: int


@dataclass(frozen=True)
class Cohort:
    """The cohort in numbers. Triples are (z, y, x).

    Attributes:
        cases, patients, graded_cases: Counts.
        class_patients: Patients of each class (a patient counts once for every class that one of its cases has).
        median_spacing_mm, low_spacing_mm: Median and 10th percentile of the base images' spacing.
        extent_mm: Largest extent that the patch should cover, outliers apart.
        image_extent_mm: Largest field of view, outliers apart.
        region_share: Share of cases with an organ or lesion region.
        context_share: Share of cases with a context region.
        lesion_volumes_mm3: Lesion components of each case that has one, largest first.
        ring_volumes_mm3: For each ring width measured, the rings of all lesions in the order of the cases.
        organ_volumes_mm3: Of the cases that have an organ.
        neighbour_distance_mm: Median distance of a region's centroid to the nearest other; None if there are no two.
        intensities: By channel name; a channel that no case has is missing.
        noise: Of the base CTs.
    """

    dataset: Dataset
    cases: int
    patients: int
    graded_cases: int
    class_patients: tuple[int, ...]
    median_spacing_mm: TripleMm
    low_spacing_mm: TripleMm
    extent_mm: TripleMm
    image_extent_mm: TripleMm
    region_share: float
    context_share: float
    lesion_volumes_mm3: tuple[tuple[float, ...], ...]
    ring_volumes_mm3: tuple[tuple[float, ...], ...]
    organ_volumes_mm3: tuple[float, ...]
    neighbour_distance_mm: float | None
    intensities: Mapping[str, PooledIntensities]
    noise: NoiseSummary

    @property
    def has_regions(self) -> bool:
        """Whether enough cases have an organ or lesion region to plan for regions."""
        return self.region_share >= REGION_SHARE_NEEDED

    @property
    def only_context(self) -> bool:
        """Whether context regions (supervoxels, say) are the only ones that ``dataset.json`` names."""
        return {r.role for r in self.dataset.regions} == {"context"}

    @property
    def node_share(self) -> float:
        """Share of cases that would have nodes in a graph."""
        return self.context_share if self.only_context else self.region_share


def summarise(fingerprint: Fingerprint, dataset: Dataset) -> Cohort:
    """The cohort in numbers; needs at least one case."""
    cases = fingerprint.cases
    share = sum(c.region_extent_mm is not None for c in cases) / len(cases)
    deciding = [c for c in cases if c.region_extent_mm is not None] if share >= REGION_SHARE_NEEDED else cases
    spacings = np.array([c.spacing_mm for c in cases])
    distances = [d for c in cases for d in c.neighbour_distances_mm]
    return Cohort(
        dataset=dataset,
        cases=len(cases),
        patients=len({c.patient for c in cases}),
        graded_cases=sum(c.label is not None for c in cases),
        class_patients=tuple(len({c.patient for c in cases if c.label == k}) for k in range(len(dataset.classes))),
        median_spacing_mm=triple_mm(np.median(spacings, axis=0)),
        low_spacing_mm=triple_mm(np.percentile(spacings, 10, axis=0)),
        extent_mm=largest_but_outliers([c.wanted_extent_mm for c in deciding]),
        image_extent_mm=largest_but_outliers([c.image_extent_mm for c in cases]),
        region_share=share,
        context_share=sum(c.context_regions > 0 for c in cases) / len(cases),
        lesion_volumes_mm3=tuple(c.lesion_volumes_mm3 for c in cases if c.lesion_volumes_mm3),
        ring_volumes_mm3=_pooled_rings(cases),
        organ_volumes_mm3=tuple(c.organ_volume_mm3 for c in cases if c.organ_volume_mm3),
        neighbour_distance_mm=float(np.median(distances)) if distances else None,
        intensities={
            channel.name: _pooled_intensities(channel.name, deciding, cases)
            for channel in dataset.channels
            if any(channel.name in c.intensities for c in cases)
        },
        noise=summarise_noise([c.dose for c in cases if c.dose is not None]),
    )


def summarise_noise(measured: Sequence[DoseMeasurement]) -> NoiseSummary:
    """How the CTs' noise was calibrated, in numbers."""
    return NoiseSummary(
        cases=len(measured),
        departures=tuple(m.departures for m in measured),
        cropped=sum(m.cropped for m in measured),
        presets=sum(m.preset for m in measured),
        pooled=sum(m.pooled > 1 and not m.preset for m in measured),
        assumed=sum(m.assumed for m in measured),
    )


def largest_but_outliers(extents: Sequence[TripleMm]) -> TripleMm:
    """Largest extent along each axis among those within the axis' `outlier_limit`."""
    values = np.array(extents)
    return triple_mm(np.where(values <= outlier_limit(values), values, 0).max(axis=0))


def outlier_limit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`OUTLIER_FACTOR` × the 95th percentile along the first axis: only what is larger is an outlier."""
    return np.asarray(OUTLIER_FACTOR * np.percentile(values, 95, axis=0))


def pool(cases: Sequence[Intensities]) -> PooledIntensities:
    """Percentiles 0.5 and 99.5 of the mixture of all cases' distributions (linear between the stored quantiles)."""
    quantiles = np.array([c.quantiles for c in cases])
    values = np.linspace(quantiles.min(), quantiles.max(), 4001)
    levels = np.mean([np.interp(values, q + np.arange(q.size) * 1e-9, QUANTILE_LEVELS) for q in quantiles], axis=0)
    means, stds = np.array([c.mean for c in cases]), np.array([c.std for c in cases])
    return PooledIntensities(
        cases=len(cases),
        lower=float(values[np.searchsorted(levels, 0.005).clip(max=values.size - 1)]),
        upper=float(values[np.searchsorted(levels, 0.995).clip(max=values.size - 1)]),
        mean=float(means.mean()),
        std=float(np.sqrt(np.mean(stds**2) + means.var())),
        case_peaks=tuple(float(q[QUANTILE_LEVELS.index(0.995)]) for q in quantiles),
        highest=max(c.highest for c in cases),
    )


def _pooled_intensities(
    channel: str, deciding: Sequence[CaseFingerprint], cases: Sequence[CaseFingerprint]
) -> PooledIntensities:
    """Of the deciding cases that have the channel, if any: a whole body among regions would widen every window."""
    everywhere = [c.intensities[channel] for c in cases if channel in c.intensities]
    pooled = pool([c.intensities[channel] for c in deciding if channel in c.intensities] or everywhere)
    return replace(pooled, cases=len(everywhere), highest=max(seen.highest for seen in everywhere))


def _pooled_rings(cases: Sequence[CaseFingerprint]) -> tuple[tuple[float, ...], ...]:
    with_lesions = [c.ring_volumes_mm3 for c in cases if c.lesion_volumes_mm3]
    return tuple(tuple(v for case in width for v in case) for width in zip(*with_lesions, strict=True))
