"""Cases that stand out: by a measure, by being zoomed, by a remark that preprocessing left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import QUANTILE_LEVELS, CaseFingerprint
from reactkd_auto.planning.cohort import OUTLIER_FACTOR, outlier_limit

PEAK = QUANTILE_LEVELS.index(0.995)
Measure = Callable[[CaseFingerprint], float | None]
BODY_SUV, NOISE, SHARPNESS = "median SUV of the body", "noise of the CT, HU", "sharpness of the CT's noise, mm⁻¹"
_TRIPLES = {
    "spacing": "spacing_mm",
    "field of view": "image_extent_mm",
    "body": "body_extent_mm",
    "extent of the regions": "region_extent_mm",
}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Outlier:
    """A case beyond a measure's `outlier_limit`.

    Attributes:
        case: Its name.
        measure: What was measured, with its unit.
        value: Of the case.
        median, percentile, limit: Median and 95th percentile of the cohort, and what the value exceeds; of a value that
            is too small, the 5th percentile and what it falls below.
        cases: Cases that have the measure.
    """

    case: str
    measure: str
    value: float
    median: float
    percentile: float
    limit: float
    cases: int


@dataclass(frozen=True)
class Remark:
    """A sentence that some cases carry, as the first of them has it (numbers in it may differ between cases)."""

    sentence: str
    cases: tuple[str, ...]
    varies: bool


def outliers(cases: Sequence[CaseFingerprint], dataset: Dataset) -> list[Outlier]:
    """Every case and measure beyond its limit.

    Above: 1.5 × the 95th percentile, the rule by which a case does not decide the patch. Below, where a small value is
    as odd as a large one: the 5th percentile / 1.5.
    """
    return [o for name, measure in measures(dataset).items() for o in _beyond(name, measure, cases)]


def measures(dataset: Dataset) -> dict[str, Measure]:
    """What cases are compared by: positive quantities that mean the same in every case (MR values have no unit)."""
    found = {
        f"{what} {letter}, mm": _along(field, axis)
        for what, field in _TRIPLES.items()
        for axis, letter in enumerate("zyx")
    }
    found["lesions"] = lambda c: float(len(c.lesion_volumes_mm3)) or None
    found["largest lesion, cm³"] = lambda c: c.lesion_volumes_mm3[0] / 1000 if c.lesion_volumes_mm3 else None
    found["organ, cm³"] = lambda c: c.organ_volume_mm3 / 1000 if c.organ_volume_mm3 else None
    for name in (c.name for c in dataset.channels if c.role == "pet_suv"):
        found[f"{name}: SUVpeak of the lesions"] = _lesion_peak(name)
        found[f"{name}: 99.5th percentile of the SUV, without lesions"] = _peak(name)
        found[f"{name}: {BODY_SUV}"] = _body_suv(name)
    found[NOISE] = lambda c: c.dose.noise_hu if c.dose else None
    found[SHARPNESS] = lambda c: c.dose.sharpness if c.dose else None
    return found


def _is_two_sided(name: str) -> bool:
    return name.startswith("body ") or name.endswith(BODY_SUV) or name in (NOISE, SHARPNESS)


def _along(field: str, axis: int) -> Measure:
    def measure(case: CaseFingerprint) -> float | None:
        triple = getattr(case, field)
        return float(triple[axis]) if triple else None

    return measure


def _peak(channel: str) -> Measure:
    def measure(case: CaseFingerprint) -> float | None:
        if channel not in case.intensities or _lesion_peak(channel)(case) is not None:
            return None
        return case.intensities[channel].quantiles[PEAK]

    return measure


def _lesion_peak(channel: str) -> Measure:
    return lambda case: case.uptake[channel].lesion_peak if channel in case.uptake else None


def _body_suv(channel: str) -> Measure:
    return lambda case: case.uptake[channel].body_median if channel in case.uptake else None


def remarks(flags: Mapping[str, Sequence[str]]) -> list[Remark]:
    """Sentences by how many cases carry them; those that differ in numbers only stand together.

    Args:
        flags: Of each case.
    """
    alike: dict[str, list[tuple[str, str]]] = {}
    for case, sentences in sorted(flags.items()):
        for sentence in dict.fromkeys(sentences):
            alike.setdefault(_NUMBER.sub("#", sentence), []).append((case, sentence))
    found = [
        Remark(group[0][1], tuple(dict.fromkeys(c for c, _ in group)), len({s for _, s in group}) > 1)
        for group in alike.values()
    ]
    return sorted(found, key=lambda r: (len(r.cases), r.sentence))


def _beyond(name: str, measure: Measure, cases: Sequence[CaseFingerprint]) -> Iterator[Outlier]:
    having = [(c.case, value) for c in cases if (value := measure(c)) is not None]
    if not having:
        return
    values = np.array([value for _, value in having])
    high, low = float(outlier_limit(values)), float(np.percentile(values, 5)) / OUTLIER_FACTOR
    median, p5, p95 = (float(p) for p in np.percentile(values, (50, 5, 95)))
    for case, value in sorted(having, key=lambda pair: (-pair[1], pair[0])):
        if value > high:
            yield Outlier(case, name, value, median, p95, high, len(values))
        elif value < low and _is_two_sided(name):
            yield Outlier(case, name, value, median, p5, low, len(values))
