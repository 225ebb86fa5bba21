"""Which doses the dose teacher and the student see."""

from __future__ import annotations

import math

import numpy as np

from reactkd_auto.fingerprint import LOW_DOSES
from reactkd_auto.plan import DosePlan
from reactkd_auto.planning.cohort import Cohort, NoiseSummary

FULL_DOSE = 1.0
LARGEST_DEPARTURE = math.sqrt(2)
"""Added SD over the quantum law: beyond, more than half of the added variance is electronic noise, which one image
does not tell."""
LOWEST_ASSUMED = 0.1
LEVELS = (0.05, 0.1, 0.25, 0.5)
SPREAD = 1.4
"""A level this near to the lowest dose adds nothing."""


def dose(cohort: Cohort) -> tuple[DosePlan, str]:
    """Dose fractions from the lowest that the cohort's own noise bears to full dose; off without HU."""
    base, noise = cohort.dataset.base, cohort.noise
    if base.role != "ct":
        off = DosePlan(False, (LEVELS[0], FULL_DOSE), ())
        return off, f"off: {base.name} is a {base.role}, noise is defined for HU only"
    lowest, why = _lowest(noise)
    levels = (lowest, *(level for level in LEVELS if level >= SPREAD * lowest))
    return DosePlan(True, (lowest, FULL_DOSE), levels), (
        f"{base.name} is seen at dose fractions from {lowest:.0%} to full dose, drawn evenly on a logarithmic scale. "
        f"{lowest:.0%} because {why}. Noise is stored at {', '.join(f'{v:.0%}' for v in levels)} and interpolated; "
        f"{_sources(noise)}"
    )


def _lowest(noise: NoiseSummary) -> tuple[float, str]:
    """The lowest dose from which on the median case stays near the quantum law; not below 10 % where it is assumed."""
    if not noise.departures:
        return LOWEST_ASSUMED, "no case's noise was measured"
    medians = np.median(noise.departures, axis=0)
    lowest = LOW_DOSES[-1]
    for fraction, median in reversed(list(zip(LOW_DOSES, medians, strict=True))):
        if median > LARGEST_DEPARTURE:
            break
        lowest = fraction
    at_lowest = float(medians[LOW_DOSES.index(lowest)])
    if noise.assumed > noise.cases / 2 and lowest < LOWEST_ASSUMED:
        return LOWEST_ASSUMED, (
            f"path lengths or flux are assumed in {noise.assumed} of {noise.cases} cases (crops, presets), "
            "so nothing lower can be vouched for"
        )
    return lowest, (
        f"there the median case's added noise is {at_lowest:.2f} × the quantum law √(1/dose − 1) "
        f"(up to {LARGEST_DEPARTURE:.2f} × is allowed: beyond, electronic noise rules, which one image does not tell)"
    )


def _sources(noise: NoiseSummary) -> str:
    parts = [f"{noise.cases - noise.presets - noise.pooled} of {noise.cases} CTs are calibrated by themselves"]
    if noise.pooled:
        parts.append(f"{noise.pooled} with CTs of their kind")
    if noise.presets:
        parts.append(f"{noise.presets} rest on a preset")
    if noise.cropped:
        parts.append(f"{noise.cropped} are crops in an assumed body")
    return ", ".join(parts)
