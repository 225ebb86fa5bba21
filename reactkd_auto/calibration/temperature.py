"""Temperature scaling (Guo et al., ICML 2017): one number that makes probabilities as sure as they deserve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

SMALLEST_PROBABILITY = 1e-6
PRIOR_SD = math.log(2)
"""Of ln T before any case is seen: a factor of 2 either way is usual, 4 is rare. Guo et al. report 0.9–3 for eleven
networks. With hundreds of cases it hardly counts; without any, T is 1."""
LIMIT = 20.0
"""T and 1/T go no further."""


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: Most probable T under the prior; what is used.
        unshrunk: By maximum likelihood alone; None where none is best (separable or worse-than-chance answers, no
            cases).
    """

    value: float
    unshrunk: float | None


def scaled(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """softmax(ln p / T).

    The logits of an averaged answer are ln p, up to a constant that softmax forgets. The order of a case's classes
    never changes; with two classes, nor does the order of cases.

    Args:
        probabilities: (..., K), clipped at 10⁻⁶.
        temperature: T; 1 changes nothing but the clipping.
    """
    return np.asarray(softmax(_logits(probabilities) / temperature, axis=-1), dtype=np.float64)


def fit_temperature(labels: NDArray[Any], probabilities: NDArray[Any]) -> Temperature:
    """T that makes the labels most probable, pulled towards 1 by a prior ln T ~ N(0, ln 2) of weight one case or so.

    Maximum likelihood alone has no answer where few cases are all right (T → 0) or mostly wrong (T → ∞).

    Args:
        labels: (n,) class index; n may be 0.
        probabilities: (n, K).
    """
    logits, rows = _logits(probabilities), np.arange(len(labels))

    def loss(x: float) -> float:
        return -float(log_softmax(logits * math.exp(-x), axis=1)[rows, labels].sum())

    best = _lowest(lambda x: loss(x) + x**2 / (2 * PRIOR_SD**2))
    alone = _lowest(loss) if len(labels) else math.inf
    inside = abs(alone) < 0.9 * math.log(LIMIT)
    return Temperature(math.exp(best), math.exp(alone) if inside else None)


def _logits(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1.0)), dtype=np.float64)


def _lowest(loss: Any) -> float:
    """Where a function of ln T is lowest: the best of a grid, refined between its neighbours."""
    grid = np.linspace(-math.log(LIMIT), math.log(LIMIT), 61)
    best = int(np.argmin([loss(x) for x in grid]))
    around = (grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)])
    return float(minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-6}).x)
