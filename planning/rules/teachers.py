"""Which teachers see more than the base image."""

from __future__ import annotations

from reactkd_auto.planning.cohort import Cohort


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
