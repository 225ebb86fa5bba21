"""One number with its 95 % interval, the method that made it, and why it is missing where it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

LEVEL = 0.95
Z = float(norm.ppf(0.5 + LEVEL / 2))


@dataclass(frozen=True)
class Estimate:
    """A value, its 95 % interval and how both were made.

    Attributes:
        value: The estimate; None where the data do not define it.
        low, high: Limits of the 95 % interval; None where none can be given.
        method: How the interval was made (``""``: there is none).
        reason: Why something is missing, or what to know when reading it; ``""`` where all is plain.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    reason: str = ""

    def __str__(self) -> str:
        """``0.81 (0.70–0.89)``, or ``–`` where there is no value."""
        if self.value is None:
            return "–"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


def undefined(reason: str) -> Estimate:
    """An estimate that the data do not define."""
    return Estimate(value=None, reason=reason)


def logit_limits(value: float, standard_error: float) -> tuple[float, float]:
    """Limits of an interval that is symmetric on the logit scale: logit(v) ± z · se / (v (1 − v)).

    Its coverage for an AUC near 1 is better than the Wald interval's, and it stays inside (0, 1); Pepe,
    *The Statistical Evaluation of Medical Tests* (2003), §5.2. ``value`` must lie strictly between 0 and 1.
    """
    centre = math.log(value / (1 - value))
    half = Z * standard_error / (value * (1 - value))
    return _expit(centre - half), _expit(centre + half)


def wilson(successes: int, n: int) -> Estimate:
    """A proportion with Wilson's score interval (Wilson, JASA 1927); undefined for ``n`` = 0."""
    if n == 0:
        return undefined("no case to count")
    share = successes / n
    scale = 1 + Z**2 / n
    centre = (share + Z**2 / (2 * n)) / scale
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / scale
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half), "Wilson score")


def _expit(x: float) -> float:
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x)) if x > -700 else 0.0
