"""Which teachers there are: dose degradation and privileged channels."""

from __future__ import annotations

from reactkd_auto.plan import DosePlan
from reactkd_auto.planning.cohort import Cohort

DOSE_RANGE = (0.05, 1.0)
DOSE_LEVELS = (0.05, 0.1, 0.25, 0.5)


def dose(cohort: Cohort) -> tuple[DosePlan, str]:
    """Dose degradation needs HU."""
    base = cohort.dataset.base
    if base.role != "ct":
        return DosePlan(False, DOSE_RANGE, ()), f"off: {base.name} is a {base.role}, noise is defined for HU only"
    return DosePlan(True, DOSE_RANGE, DOSE_LEVELS), (
        f"the dose teacher sees {base.name} at dose fractions from {DOSE_RANGE[0]:.0%} to full dose, drawn evenly on a "
        f"logarithmic scale; noise is stored at {', '.join(f'{v:.0%}' for v in DOSE_LEVELS)} and interpolated"
    )


def structure_function_teacher(cohort: Cohort) -> tuple[bool, str]:
    """On where some case has a channel beyond the base."""
    privileged = [cohort.dataset.channels[i] for i in cohort.dataset.privileged]
    if not privileged:
        return False, f"off: {cohort.dataset.base.name} is the only channel, so no teacher can see more"
    counts = {c.name: cohort.intensities[c.name].cases for c in privileged if c.name in cohort.intensities}
    if not counts:
        return False, f"off: no case has any of {', '.join(c.name for c in privileged)}"
    named = ", ".join(f"{name} in {n} of {cohort.cases} cases" for name, n in counts.items())
    return True, f"privileged channels that only teachers see: {named}"
