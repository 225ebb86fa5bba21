"""ROC curves, plain and drawn again by the bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bootstrap import PatientBootstrap

BAND_GRID = np.linspace(0, 1, 101)


def roc_curve(positive: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False-positive and true-positive rates from (0, 0) to (1, 1), one point a distinct score.

    Args:
        positive: (n,) bool, both values occurring.
        scores: (n,) higher means more likely positive.
    """
    false, true = _weighted_roc(positive, scores, np.ones((1, positive.size)))
    return false[0], true[0]


def roc_band(
    positive: NDArray[Any], scores: NDArray[Any], bootstrap: PatientBootstrap
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pointwise 95 % percentile band of the sensitivity over `BAND_GRID`, from the patient bootstrap.

    Returns:
        (101,) lower and (101,) upper limits.
    """
    rows = []
    for weights in bootstrap.weights():
        false, true = _weighted_roc(positive, scores, weights)
        rows += [np.interp(BAND_GRID, f, t) for f, t in zip(false, true, strict=True) if np.isfinite(f[-1] + t[-1])]
    low, high = np.quantile(np.stack(rows), [0.025, 0.975], axis=0)
    return low, high


def _weighted_roc(
    positive: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rates (rows, distinct scores + 1) of weighted cases, highest score first; NaN rows where a side is empty."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rates = []
    for side in (~positive, positive):
        grouped = np.add.reduceat((weights * side)[:, order], starts, axis=1)
        sums = np.cumsum(np.pad(grouped, ((0, 0), (1, 0))), axis=1)
        total = sums[:, -1:]
        rates.append(np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0))
    return rates[0], rates[1]
