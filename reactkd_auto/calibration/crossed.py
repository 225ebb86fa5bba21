"""Calibration judged honestly: each fold by what the other folds say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .document import Calibration, HeldOut, fit_calibration


@dataclass(frozen=True, eq=False)
class Crossed:
    """Calibrated answers to held-out cases, by calibrations that never saw their fold.

    Attributes:
        probabilities: (n, K).
        sets: (n, K) whether the class is in the prediction set.
        called: (n, K) whether the class's probability reaches its threshold; False where there is none.
        by_fold: The calibration that each fold was judged with.
    """

    probabilities: NDArray[np.float64]
    sets: NDArray[np.bool_]
    called: NDArray[np.bool_]
    by_fold: dict[int, Calibration]


def cross_calibrate(held_out: HeldOut, classes: Sequence[str], *, seed: int) -> Crossed:
    """Calibrate each fold's answers on the answers of all other folds; takes two folds or more."""
    probabilities = np.empty_like(held_out.probabilities)
    sets, called = (np.zeros(probabilities.shape, bool) for _ in range(2))
    by_fold = {}
    for fold in np.unique(held_out.folds).tolist():
        own = held_out.folds == fold
        fitted = by_fold[fold] = fit_calibration(held_out.rows(~own), classes, seed=seed)
        probabilities[own] = fitted.probabilities(held_out.probabilities[own])
        sets[own] = fitted.sets(held_out.probabilities[own])
        limits = np.array([np.inf if t is None else t for t in fitted.thresholds])
        called[own] = probabilities[own] >= limits
    return Crossed(probabilities, sets, called, by_fold)
