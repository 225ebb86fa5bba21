"""Scores of the predicted classes, from confusion matrices: one matrix or a stack of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def confusion_matrices(
    labels: NDArray[Any], predicted: NDArray[Any], n_classes: int, weights: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Confusion matrices [true, predicted] of weighted cases.

    Args:
        labels: (n,) true class index.
        predicted: (n,) predicted class index.
        n_classes: Number of classes.
        weights: (rows, n) weight of each case; None: one row of ones.

    Returns:
        (rows, n_classes, n_classes).
    """
    rows = np.ones((1, labels.size)) if weights is None else weights
    cells = np.eye(n_classes**2)[labels * n_classes + predicted]
    return (rows @ cells).reshape(len(rows), n_classes, n_classes)


def accuracy(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Share of cases whose class is right: (…, k, k) -> (…)."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def balanced_accuracy(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Mean sensitivity of the classes that have cases: (…, k, k) -> (…)."""
    recall = _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))
    return _mean_of_defined(recall)


def f1_macro(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Mean F1 = 2 TP / (2 TP + FP + FN) of the classes that have cases or predictions: (…, k, k) -> (…)."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    return _mean_of_defined(_ratio(2 * right, confusion.sum(axis=-1) + confusion.sum(axis=-2)))


def quadratic_kappa(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Cohen's kappa with weights (i − j)² (Cohen, Psychol. Bull. 1968): (…, k, k) -> (…).

    NaN where chance alone would agree fully: all labels and all predictions in one class.
    """
    k = confusion.shape[-1]
    distance = (np.arange(k)[:, None] - np.arange(k)[None, :]) ** 2
    total = confusion.sum(axis=(-2, -1))
    chance = confusion.sum(axis=-1)[..., :, None] * confusion.sum(axis=-2)[..., None, :]
    return 1 - _ratio((distance * confusion).sum(axis=(-2, -1)) * total, (distance * chance).sum(axis=(-2, -1)))


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _mean_of_defined(values: NDArray[Any]) -> NDArray[np.float64]:
    defined = np.isfinite(values)
    return _ratio(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1))
