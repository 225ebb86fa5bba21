"""Area under the ROC curve by ranks, with DeLong's variance and a logit interval.

Where a patient has several cases, these are not independent and the variance is Obuchowski's, which equals
DeLong's when every patient has one case.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import rankdata

from .estimate import Estimate, Z, logit_limits, undefined

DELONG = "DeLong, logit"
CLUSTERED = "DeLong, logit, cases grouped by patient (Obuchowski)"
SCORE = "Newcombe score"


def rank_auc(positive: ArrayLike, scores: ArrayLike) -> float:
    """AUC = (R − m(m+1)/2) / (mn), R the sum of the midranks of the m positive cases, n negative ones.

    Equals the probability that a positive case scores higher than a negative one, ties counting half.

    Args:
        positive: (cases,) bool.
        scores: (cases,) higher means more likely positive.

    Returns:
        The AUC, NaN where there is no positive or no negative case.
    """
    is_positive = np.asarray(positive, dtype=bool)
    m, n = int(is_positive.sum()), int((~is_positive).sum())
    if m == 0 or n == 0:
        return math.nan
    ranks = rankdata(np.asarray(scores, dtype=float))
    return float((ranks[is_positive].sum() - m * (m + 1) / 2) / (m * n))


def delong_components(positive: ArrayLike, scores: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Structural components of the AUC, by midranks (Sun & Xu, IEEE Signal Process. Lett. 2014, eq. 6–7).

    Returns:
        (m,) for each positive case the share of negative ones below it, and (n,) for each negative case the
        share of positive ones above it; ties count half. Both average to the AUC.
    """
    is_positive = np.asarray(positive, dtype=bool)
    values = np.asarray(scores, dtype=float)
    ranks = rankdata(values)
    m, n = int(is_positive.sum()), int((~is_positive).sum())
    of_positive = (ranks[is_positive] - rankdata(values[is_positive])) / n
    of_negative = 1 - (ranks[~is_positive] - rankdata(values[~is_positive])) / m
    return of_positive, of_negative


def delong_variance(positive: ArrayLike, scores: ArrayLike, *, groups: ArrayLike | None = None) -> float:
    """Variance of the AUC: DeLong et al., Biometrics 1988; with groups Obuchowski, Biometrics 1997, eq. 3–6.

    Args:
        positive: (cases,) bool.
        scores: (cases,) higher means more likely positive.
        groups: (cases,) patient of each case; None: every case is a patient.

    Returns:
        The variance; NaN with fewer than two patients who have positive or who have negative cases.
    """
    is_positive = np.asarray(positive, dtype=bool)
    codes = np.arange(is_positive.size) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    m, n = int(is_positive.sum()), int((~is_positive).sum())
    positive_groups, negative_groups = np.unique(codes[is_positive]).size, np.unique(codes[~is_positive]).size
    if min(positive_groups, negative_groups) < 2:
        return math.nan
    of_positive, of_negative = delong_components(is_positive, scores)
    area = float(of_positive.mean())
    total = int(codes.max()) + 1
    excess_positive = np.bincount(codes[is_positive], weights=of_positive - area, minlength=total)
    excess_negative = np.bincount(codes[~is_positive], weights=of_negative - area, minlength=total)
    s10 = positive_groups / (positive_groups - 1) / m * float(excess_positive @ excess_positive)
    s01 = negative_groups / (negative_groups - 1) / n * float(excess_negative @ excess_negative)
    s11 = total / (total - 1) * float(excess_positive @ excess_negative)
    return s10 / m + s01 / n + 2 * s11 / (m * n)


def score_limits(area: float, m: int, n: int) -> tuple[float, float]:
    """Newcombe's interval for an AUC from its value and the numbers of positive and negative cases alone.

    Solves |Â − A| = z √V(A) with Hanley and McNeil's variance at (m + n) / 2; Newcombe, Stat. Med. 2006
    (part 2, method 5). It is defined for an AUC of 0 or 1, where DeLong's variance is 0 and says nothing.
    """
    extra = (m + n) / 2 - 1

    def miss(a: float) -> float:
        variance = a * (1 - a) * (1 + extra * (1 - a) / (2 - a) + extra * a / (1 + a)) / (m * n)
        return (a - area) ** 2 - Z**2 * variance

    edge = 1e-9
    low = 0.0 if area <= edge else float(brentq(miss, 0.0, min(area, 1 - edge)))
    high = 1.0 if area >= 1 - edge else float(brentq(miss, max(area, edge), 1.0))
    return low, high


def auc_with_interval(positive: ArrayLike, scores: ArrayLike, *, groups: ArrayLike | None = None) -> Estimate:
    """AUC with a 95 % interval: DeLong's variance on the logit scale, or Newcombe's where that fails.

    Args:
        positive: (cases,) bool.
        scores: (cases,) higher means more likely positive; finite.
        groups: (cases,) patient of each case; None: every case is a patient.

    Returns:
        The estimate; undefined, with the reason, where there is no positive or no negative case.
    """
    is_positive = np.asarray(positive, dtype=bool)
    values = np.asarray(scores, dtype=float)
    patients = np.arange(is_positive.size) if groups is None else np.asarray(groups)
    if not is_positive.any():
        return undefined("no case of this class")
    if is_positive.all():
        return undefined("every case is of this class")
    area = rank_auc(is_positive, values)
    if np.ptp(values) == 0:
        return Estimate(area, area, area, "exact", "every case has the same probability")
    variance = delong_variance(is_positive, values, groups=patients)
    if 0 < area < 1 and variance > 0:
        low, high = logit_limits(area, math.sqrt(variance))
        several = np.unique(patients).size < patients.size
        return Estimate(area, low, high, CLUSTERED if several else DELONG)
    m, n = np.unique(patients[is_positive]).size, np.unique(patients[~is_positive]).size
    why = (
        "fewer than two patients on one side" if min(m, n) < 2 else "no variation that DeLong's variance could measure"
    )
    if area in (0.0, 1.0):
        why = "the classes are perfectly separated in these cases"
    return Estimate(area, *score_limits(area, m, n), SCORE, why)
