"""How far explanations can be trusted: the means of their checks, with patients drawn for the intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .bootstrap import PatientBootstrap, percentile_estimate
from .estimate import Estimate, undefined

MEANINGS = {
    "energy_in_lesions": (
        "energy in lesions",
        "share of the explanation image that lies on lesions; chance is the same of a flat map",
    ),
    "energy_of_a_flat_map": (
        "the same of a flat map",
        "what an image that is even over all regions would have: chance",
    ),
    "deletion_area": (
        "deletion area",
        "how far the answer's probability lies lower when the most important nodes are taken out first than in random "
        "order; 0 is chance",
    ),
    "randomised_correlation": (
        "correlation after shuffling",
        "rank correlation of the nodes' importance with that of the same networks with shuffled weights; near 0, which "
        "is chance, the explanation depends on what was learnt, near 1 it does not",
    ),
}
"""Title of each measure, and what it says."""


@dataclass(frozen=True)
class ExplanationMeasure:
    """One check of explanations, over the cases that have it.

    Attributes:
        name: One of `MEANINGS`.
        n_cases, n_patients: That have it.
        mean: Over cases.
    """

    name: str
    n_cases: int
    n_patients: int
    mean: Estimate


def explanation_measures(
    values: Mapping[str, Mapping[str, float]], patients: Mapping[str, str], *, seed: int
) -> tuple[ExplanationMeasure, ...]:
    """Mean of each measure with the 95 % percentile interval of a bootstrap over patients.

    Args:
        values: By measure, then by case.
        patients: Patient of each case; a case that is not in it is a patient of its own.
        seed: Of the bootstrap.
    """
    return tuple(_measure(name, of, patients, seed) for name, of in values.items())


def _measure(name: str, of: Mapping[str, float], patients: Mapping[str, str], seed: int) -> ExplanationMeasure:
    if not of:
        return ExplanationMeasure(name, 0, 0, undefined("no case has it"))
    values = np.array(list(of.values()))
    found, codes = np.unique([patients.get(case, case) for case in of], return_inverse=True)
    draws = PatientBootstrap(np.zeros(len(values), dtype=np.int64), codes, seed=seed)  # classes don't matter here
    means = np.concatenate([(weights @ values) / weights.sum(axis=1) for weights in draws.weights()])
    return ExplanationMeasure(name, len(values), len(found), percentile_estimate(float(values.mean()), means))
