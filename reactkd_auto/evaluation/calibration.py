"""Are the probabilities right? Brier score, expected calibration error, calibration slope, reliability bins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from .estimate import Estimate, undefined, wilson

SMALLEST_PROBABILITY = 1e-6
ECE_BINS = 10


def brier_per_case(labels: NDArray[Any], probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Squared distance of the probabilities from the truth, whose mean is the Brier score (Brier 1950).

    Σ_k (p_k − y_k)², halved for two classes so that it is the familiar (p₁ − y)².

    Args:
        labels: (n,) class index.
        probabilities: (n, classes).

    Returns:
        (n,): 0 is best; always answering ½ of two classes gives ¼.
    """
    n_classes = probabilities.shape[1]
    squared = ((probabilities - np.eye(n_classes)[labels]) ** 2).sum(axis=1)
    return np.asarray(squared / 2 if n_classes == 2 else squared, dtype=np.float64)


def expected_calibration_error(labels: NDArray[Any], probabilities: NDArray[Any], *, bins: int = ECE_BINS) -> float:
    """Mean gap between the highest probability and how often it is right (Guo et al., ICML 2017, eq. 3).

    Ten equal-width bins (low, high] of the highest probability, weighted by their cases. NaN without cases.
    """
    if labels.size == 0:
        return math.nan
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(index, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / labels.size)


def calibration_slope(labels: NDArray[Any], probabilities: NDArray[Any]) -> Estimate:
    """Slope β of the recalibration model softmax(a_k + β log p_k), fitted by maximum likelihood.

    For two classes it is Cox's slope of the outcome on logit(p) (Cox, Biometrika 1958); for more, the
    multinomial form with one slope. 1 is calibrated, below 1 overconfident, above 1 underconfident. Classes
    without cases are left out; probabilities are clipped at 10⁻⁶.

    Returns:
        The slope without an interval; undefined where no finite slope is best.
    """
    present, targets = np.unique(labels, return_inverse=True)
    if present.size < 2:
        return undefined("fewer than two classes occur among the cases")
    logs = np.log(np.clip(probabilities[:, present], SMALLEST_PROBABILITY, 1.0))
    if _separates(targets, logs) or _separates(targets, -logs):
        return undefined("no finite slope: the probabilities are constant or separate the classes perfectly")
    truth = np.eye(present.size)[targets]

    def loss(parameters: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        scores = np.r_[0.0, parameters[:-1]] + parameters[-1] * logs
        excess = (softmax(scores, axis=1) - truth) / len(truth)
        gradient = np.r_[excess.sum(axis=0)[1:], (excess * logs).sum()]
        return -float((log_softmax(scores, axis=1) * truth).sum()) / len(truth), gradient

    start = np.r_[np.zeros(present.size - 1), 1.0]
    fitted = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    return Estimate(float(fitted.x[-1]))


def _separates(targets: NDArray[Any], logs: NDArray[Any]) -> bool:
    """Whether offsets a exist with a_y + l_y ≥ a_k + l_k for every case: then the likelihood grows for ever.

    With c_jk = min over cases of class j of l_j − l_k this asks for a_k − a_j ≤ c_jk, which has a solution
    unless some cycle of c is negative (shortest paths, Floyd-Warshall).
    """
    k = logs.shape[1]
    paths = np.stack([(logs[targets == j][:, [j]] - logs[targets == j]).min(axis=0) for j in range(k)])
    for middle in range(k):
        paths = np.minimum(paths, paths[:, [middle]] + paths[[middle], :])
    return bool((np.diag(paths) >= -1e-12).all())


@dataclass(frozen=True)
class ReliabilityBin:
    """Cases of similar probability: its mean, and how often the class was true (with Wilson's interval)."""

    probability: float
    observed: Estimate
    n: int


def reliability_bins(
    positive: NDArray[Any], probability: NDArray[Any], *, at_most: int = 10
) -> tuple[ReliabilityBin, ...]:
    """Bins of about equally many cases, at least eight in each (fewer only if there are fewer), lowest first.

    Args:
        positive: (n,) bool, whether the case is of the class.
        probability: (n,) of the class.
        at_most: Largest number of bins.
    """
    if positive.size == 0:
        return ()
    n_bins = int(np.clip(positive.size // 8, 1, at_most))
    parts = np.array_split(np.argsort(probability, kind="stable"), n_bins)
    return tuple(
        ReliabilityBin(float(probability[part].mean()), wilson(int(positive[part].sum()), part.size), part.size)
        for part in parts
    )
