"""Probabilities above which a class is called, chosen on out-of-fold answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve


def best_threshold(positive: NDArray[np.bool_], probability: NDArray[Any]) -> float | None:
    """Threshold t with the largest sensitivity + specificity for "p ≥ t" (Youden, Cancer 1950).

    Halfway to the next lower probability that occurs, so that it does not lie on a case. None where a side is empty.

    Args:
        positive: (n,) whether the case is of the class.
        probability: (n,) of the class.
    """
    if positive.all() or not positive.any():
        return None
    false, true, at = roc_curve(positive, probability, drop_intermediate=False)
    best = at[1:][np.argmax((true - false)[1:])]
    lower = probability[probability < best]
    return float((best + lower.max()) / 2 if lower.size else best)
