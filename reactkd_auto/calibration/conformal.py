"""Conformal prediction sets: the classes that cannot be excluded at a stated coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from crepes import ConformalClassifier
from numpy.typing import NDArray

FEWEST_PER_CLASS = 20
"""Patients of every class from which sets are made per class: of 90 % promised, the coverage that one model's patients
really give then has a standard deviation of 6 % (that of a beta distribution; Vovk, ACML 2012)."""

Scores = Sequence[Sequence[float]]


def nonconformity(labels: NDArray[Any], probabilities: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    """How strange each case's true class looked, 1 − p, sorted, by class.

    Args:
        labels: (n,) class index.
        probabilities: (n, K).
    """
    strange = 1 - probabilities
    return tuple(tuple(sorted(strange[labels == k, k].tolist())) for k in range(probabilities.shape[1]))


def one_a_patient(patients: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Indices of one case of each patient, drawn: only then is a new patient exchangeable with what was seen.

    "Subsampling once" of Dunn, Wasserman and Ramdas, JASA 2023.
    """
    order = np.random.default_rng(seed).permutation(len(patients))
    _, first = np.unique(np.asarray(patients, dtype=object)[order].astype(str), return_index=True)
    return np.sort(order[first])


def is_per_class(scores: Scores) -> bool:
    """Whether every class has the patients for a promise of its own."""
    return min(map(len, scores)) >= FEWEST_PER_CLASS


def p_values(probabilities: NDArray[Any], scores: Scores, *, per_class: bool) -> NDArray[np.float64]:
    """(n, K) share of calibration cases (the case itself counted) that look at least as strange as each class here.

    Not smoothed: a case has the same answer whenever it is asked.

    Args:
        probabilities: (n, K).
        scores: Of `nonconformity`.
        per_class: Compare with cases of the same class, else with all.
    """
    everything = np.array([s for of_class in scores for s in of_class])
    columns = []
    for k, of_class in enumerate(scores):
        seen = np.array(of_class) if per_class else everything
        classifier = ConformalClassifier().fit(seen)
        # Rounding must not make a case stranger than itself.
        strange = 1 - probabilities[:, [k]] - 1e-9
        columns.append(classifier.predict_p(strange, smoothing=False)[:, 0] if seen.size else np.ones(len(strange)))
    return np.stack(columns, axis=1)


def prediction_sets(
    probabilities: NDArray[Any], scores: Scores, *, coverage: float, per_class: bool
) -> NDArray[np.bool_]:
    """(n, K) classes whose p-value is above 1 − coverage, and always the most probable one.

    Without the latter a set could be empty where a model is right more often than was promised; it can only add
    coverage.
    """
    kept = p_values(probabilities, scores, per_class=per_class) > 1 - coverage + 1e-12
    kept[np.arange(len(kept)), probabilities.argmax(axis=1)] = True
    return np.asarray(kept)


def fewest_patients(coverage: float) -> int:
    """Patients below which no class can be excluded at all."""
    return math.ceil(1 / (1 - coverage) - 1e-9) - 1
