"""Exact statistics of log-transformed CT readings.

A reading of N expected counts is ``y = −ln(max(Poisson(N) + σ_e G, floor) / N_air)``, G standard normal. Its variance
v(N) and bias β(N) = E[y] − (−ln(N / N_air)) have no closed form near starvation, where the usual linear formula
(Yu et al., J Comput Assist Tomogr 2012) is 15–20 % low; they are integrated once by quadrature and tabulated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

NODES = 161
LN_MIN = math.log(1e-2)
LN_MAX = math.log(1e6)
_GAUSS_NODES = 241
_SMALLEST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class CountTable:
    """v(N) and β(N) on `NODES` equidistant nodes of ln N from 10⁻² to 10⁶, interpolated by cubic Hermite splines.

    ln v is interpolated, so that the quantum law v = 1/N is reproduced exactly between nodes and, by linear
    extrapolation, above the last one.

    Attributes:
        ln_variance, bias: (NODES,) float64, at the nodes.
    """

    ln_variance: torch.Tensor
    bias: torch.Tensor

    @cached_property
    def _variance_cubics(self) -> torch.Tensor:
        return _cubics(self.ln_variance)

    @cached_property
    def _bias_cubics(self) -> torch.Tensor:
        return _cubics(self.bias)

    def variance(self, counts: torch.Tensor) -> torch.Tensor:
        """v(N) of expected counts of any shape; differentiable in the counts."""
        return torch.exp(_interpolated(self._variance_cubics.to(counts), counts.clamp_min(1e-2)))

    def log_bias(self, counts: torch.Tensor) -> torch.Tensor:
        """β(N), the mean error of y, of expected counts of any shape."""
        return _interpolated(self._bias_cubics.to(counts), counts.clamp(1e-2, 1e6))

    def added_variance(self, counts: torch.Tensor, dose: float, dose_from: float = 1.0) -> torch.Tensor:
        """[v(aN) − v(a₀N)]₊: what must be added to a reading taken at dose a₀ to look like one at dose a ≤ a₀."""
        return (self.variance(counts * dose) - self.variance(counts * dose_from)).clamp_min(0)


def linear_variance(counts: torch.Tensor, electronic_noise: float) -> torch.Tensor:
    """1/N + σ_e²/N², the first-order formula (Yu 2012)."""
    return 1 / counts + electronic_noise**2 / counts**2


def linear_added_variance(counts: torch.Tensor, dose: float, electronic_noise: float) -> torch.Tensor:
    """(1−a)/a · 1/N · [1 + (1+a)/a · σ_e²/N] (Yu 2012), for comparison with the exact table."""
    return (1 - dose) / dose / counts * (1 + (1 + dose) / dose * electronic_noise**2 / counts)


@lru_cache(maxsize=16)
def count_table(electronic_noise: float, floor: float = 1.0) -> CountTable:
    """The table of one (σ_e, floor), both in counts; computed once.

    Args:
        electronic_noise: Standard deviation of the additive Gaussian noise, ≥ 0.
        floor: Smallest signal that the logarithm is given, > 0.
    """
    moments = [_moments(math.exp(x), electronic_noise, floor) for x in np.linspace(LN_MIN, LN_MAX, NODES)]
    variance = np.array([max(v, _SMALLEST_VARIANCE) for v, _ in moments])
    bias = np.array([b for _, b in moments])
    return CountTable(torch.from_numpy(np.log(variance)), torch.from_numpy(bias))


def _moments(mean: float, sigma: float, floor: float) -> tuple[float, float]:
    """Variance and bias of y at one mean, by a sum over Poisson counts and the trapezoid rule over the Gaussian.

    For large means the Poisson weights are smooth and are summed at a stride: the trapezoid rule converges
    exponentially for them.
    """
    counts, weights = _poisson_nodes(mean)
    gauss = np.linspace(-7.5, 7.5, _GAUSS_NODES) if sigma > 0 else np.zeros(1)
    density = np.exp(-0.5 * gauss**2)
    weight = weights[:, None] * (density / density.sum())[None]
    # Relative to the mean, so that a variance of 1e-6 is not lost in the square of ln N.
    y = -np.log(np.maximum(counts[:, None] + sigma * gauss[None], floor) / mean)
    bias = float((weight * y).sum())
    return float((weight * (y - bias) ** 2).sum()), bias


def _poisson_nodes(mean: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    spread = math.sqrt(mean)
    stride = max(1, int(spread / 8))
    first = max(0, int(mean - 9 * spread - 10))
    counts = np.arange(first, mean + 9 * spread + 30, stride, dtype=np.float64)
    log_factorial = np.array([math.lgamma(k + 1) for k in counts])
    log_weight = counts * math.log(mean) - mean - log_factorial
    weights = np.exp(log_weight - log_weight.max())
    return counts, weights / weights.sum()


def _cubics(values: torch.Tensor) -> torch.Tensor:
    """(4, NODES) coefficients of cubic Hermite (Catmull-Rom) splines from each node on, a straight line from the last.

    Args:
        values: (NODES,) at the nodes.
    """
    slope = torch.cat([values[1:2] - values[:1], (values[2:] - values[:-2]) / 2, values[-1:] - values[-2:-1]])
    rise, low, high = values.diff(), slope[:-1], slope[1:]
    square = torch.nn.functional.pad(3 * rise - 2 * low - high, (0, 1))
    cube = torch.nn.functional.pad(low + high - 2 * rise, (0, 1))
    return torch.stack([values, slope, square, cube])


def _interpolated(cubics: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Splines at expected counts of any shape, not below the first node."""
    position = (torch.log(counts) - LN_MIN) * ((NODES - 1) / (LN_MAX - LN_MIN))
    node = position.detach().clamp(0, NODES - 1).floor()
    t = position - node
    c0, c1, c2, c3 = (c.take(node.long()) for c in cubics)
    return c0 + t * (c1 + t * (c2 + t * c3))
