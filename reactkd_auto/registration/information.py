"""Mutual information of two images, from their joint histogram."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8]


def codes(values: NDArray[np.floating], low: float, high: float, bins: int) -> Codes:
    """Bin numbers 0 … bins − 1 of values between ``low`` and ``high``; what lies beyond falls into the end bins."""
    scaled = (values - low) * (bins / max(high - low, 1e-12))
    return np.clip(scaled, 0, bins - 1).astype(np.uint8)


def mutual_information(first: Codes, second: Codes, bins: int) -> float:
    """I(A; B) = Σ p(a, b) ln(p(a, b) / (p(a) p(b))) in nats, of paired bin numbers; 0 where there are none.

    As images are compared by since Viola & Wells (IJCV 1997) and Maes et al. (IEEE TMI 1997); the plain histogram, not
    the Parzen window that an optimiser needs (Mattes et al., IEEE TMI 2003).
    """
    return information_of(joint_histogram(first.astype(np.intp), second, (bins, bins)))


def joint_histogram(first: NDArray[np.intp], second: NDArray[Any], bins: tuple[int, int]) -> NDArray[np.intp]:
    """How often each pair of bin numbers occurs, (bins of the first, bins of the second)."""
    return np.bincount((first * bins[1] + second).ravel(), minlength=bins[0] * bins[1]).reshape(bins)


def information_of(counts: NDArray[np.intp]) -> float:
    """`mutual_information` from a joint histogram."""
    if not (total := counts.sum()):
        return 0.0
    joint = counts / total
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())
