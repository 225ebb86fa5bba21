"""How each channel's stored values become network input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reactkd_auto.dataset import Channel, ChannelRole
from reactkd_auto.plan import Normalisation
from reactkd_auto.planning.cohort import Cohort, PooledIntensities

INT16_MAX = 32767
SMALLEST_STD = 1e-3
SUV_CAPS = (10.0, 100.0)
HEADROOM = 1.5


def normalisation(cohort: Cohort) -> tuple[dict[str, Normalisation], str]:
    """One scheme a channel, chosen by its role."""
    planned = {c.name: _RULES[c.role](c, cohort.intensities.get(c.name)) for c in cohort.dataset.channels}
    return {name: value for name, (value, _) in planned.items()}, "; ".join(r for _, r in planned.values())


def ct(channel: Channel, seen: PooledIntensities | None) -> tuple[Normalisation, str]:
    """Clip to the 0.5 and 99.5 percentiles of the foreground, then z-score with the cohort's mean and SD."""
    if seen is None or seen.upper - seen.lower < 1:
        return Normalisation("ct", -1024, 1500, 0, 500, 1.0), f"{channel.name}: no foreground seen, the usual HU window"
    lower, upper = float(np.floor(seen.lower)), float(np.ceil(seen.upper))
    return Normalisation("ct", lower, upper, round(seen.mean, 3), _std(seen), 1.0), (
        f"{channel.name}: HU clipped to the foreground's percentiles 0.5 and 99.5 ({lower:.0f} to {upper:.0f}), "
        f"minus its mean {seen.mean:.0f}, over its SD {seen.std:.0f}: the same numbers for every case"
    )


def pet_suv(channel: Channel, seen: PooledIntensities | None) -> tuple[Normalisation, str]:
    """ln(1 + SUV) with constants of the cohort, so that SUV stays comparable between patients."""
    if seen is None:
        return Normalisation("pet_suv", 0, 25, 1, 0.7, 0.002), f"{channel.name}: no case has it, usual SUV constants"
    cap = float(np.ceil(np.clip(HEADROOM * np.percentile(seen.case_peaks, 95), *SUV_CAPS)))
    scale = float(np.ceil(max(HEADROOM * cap, min(seen.highest, 10 * cap)) / INT16_MAX * 1e4) / 1e4)
    return Normalisation("pet_suv", 0.0, cap, round(seen.mean, 4), _std(seen), scale), (
        f"{channel.name}: ln(1 + SUV) with SUV up to {cap:.0f} (1.5 times the 95th percentile of the cases' peaks), "
        f"minus {seen.mean:.2f}, over {seen.std:.2f}: cohort constants, so that SUV stays comparable between patients"
    )


def z_scored(channel: Channel, seen: PooledIntensities | None) -> tuple[Normalisation, str]:
    """Images without a unit are z-scored one by one when they are preprocessed."""
    return Normalisation("mr" if channel.role == "mr" else "other", -5.0, 5.0, 0.0, 1.0, 0.001), (
        f"{channel.name}: z-score of each image, because its values have no unit; clipped to ±5"
    )


def binary_mask(channel: Channel, seen: PooledIntensities | None) -> tuple[Normalisation, str]:
    """A shape: 0 outside, 1 inside."""
    return Normalisation("binary_mask", 0.0, 1.0, 0.0, 1.0, 0.001), f"{channel.name}: a mask, left as it is"


def _std(seen: PooledIntensities) -> float:
    return max(round(seen.std, 4), SMALLEST_STD)


_RULES: dict[ChannelRole, Callable[[Channel, PooledIntensities | None], tuple[Normalisation, str]]] = {
    "ct": ct,
    "pet_suv": pet_suv,
    "mr": z_scored,
    "other": z_scored,
    "binary_mask": binary_mask,
}
