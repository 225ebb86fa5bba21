"""Counter-based random numbers: the value at a place depends on its key and index only, on every device.

Philox 4×32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) in torch integer arithmetic, so
that chunks, their order, threads and the device change nothing.
"""

from __future__ import annotations

import hashlib
import math

import torch

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_SMALL_MEAN = 10.0
_LARGEST_SMALL_COUNT = 45
"""Of a mean below 10; more has a probability of 10⁻¹⁵."""


def stream_key(seed: int, *names: str | int | float) -> int:
    """A 64-bit key from a seed and any names (case, purpose, dose), by SHA-256."""
    text = "\x1f".join([str(int(seed)), *(repr(n) for n in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def philox(counter: tuple[torch.Tensor, ...], key: int) -> tuple[torch.Tensor, ...]:
    """Four 32-bit words (as int64) for each four-word counter; ``key`` has 64 bits."""
    c0, c1, c2, c3 = counter
    k0, k1 = key & _MASK, (key >> 32) & _MASK
    for _ in range(_ROUNDS):
        # The 64-bit product wraps, which keeps all its bits: its low word is the next odd word, whose upper half does
        # no harm until the mask that also undoes the sign of the shift.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0 = (p1 >> 32).bitwise_xor_(c1).bitwise_xor_(k0).bitwise_and_(_MASK)
        c2 = (p0 >> 32).bitwise_xor_(c3).bitwise_xor_(k1).bitwise_and_(_MASK)
        c1, c3 = p1, p0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1.bitwise_and_(_MASK), c2, c3.bitwise_and_(_MASK)


def standard_normal(key: int, rows: range, count: int, device: torch.device, *, block: int = 0) -> torch.Tensor:
    """(rows, count) float32 standard normal numbers of a stream's rows (for us: of slices; may be negative).

    Another ``block`` of the same rows holds independent numbers. Two numbers a pair of words by Box and Muller
    (Ann Math Stat 1958).
    """
    words = _words(key, rows, -(-count // 4), device, block)
    # (w + ½) / 2³² is never 0; float64 keeps it below 1 before the logarithm.
    radius = [torch.sqrt(-2 * torch.log((w.double() + 0.5) * 2.0**-32)).float() for w in words[::2]]
    angle = [(w.float() * (2 * math.pi * 2.0**-32)) for w in words[1::2]]
    parts = [r * f(a) for r, a in zip(radius, angle, strict=True) for f in (torch.cos, torch.sin)]
    return torch.stack(parts, dim=2).reshape(len(rows), -1)[:, :count]


def complex_normal(key: int, rows: range, count: int, device: torch.device) -> torch.Tensor:
    """(rows, count) complex64 numbers of a stream's rows, real and imaginary part of variance 1.

    For Fourier coefficients, of which every pixel sums many thousands: one word gives the radius 20 bits and the angle
    12, half of what `standard_normal` spends on it.
    """
    words = torch.stack(_words(key, rows, -(-count // 4), device, 0), dim=2).view(len(rows), -1)[:, :count]
    radius = ((words >> 12).float() + 0.5).mul_(2.0**-20).log_().mul_(-2).sqrt_()
    angle = ((words & 0xFFF).float() + 0.5).mul_(2 * math.pi * 2.0**-12)
    return torch.view_as_complex(torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=2))


def _words(key: int, rows: range, groups: int, device: torch.device, block: int) -> tuple[torch.Tensor, ...]:
    """Four words for each group of each row, (rows, groups)."""
    row = torch.arange(rows.start, rows.stop, device=device)[:, None].expand(-1, groups)
    index = torch.arange(groups, dtype=torch.int64, device=device).expand(len(rows), -1)
    return philox((index, row & _MASK, (row >> 32) & _MASK, torch.full_like(index, block)), key)


def poisson_quantile(mean: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Poisson counts of the given means at the probability Φ(normal), elementwise, in the dtype of ``mean``.

    Standard normal numbers become Poisson numbers, and the same numbers at two means give counts that rise together.
    By the normal expansion of Giles (ACM Trans Math Softw 2016, algorithm 955) for means of 10 and more, by summing the
    distribution below.
    """
    w, root = normal, mean.sqrt()
    series = 1 / 3 + w**2 / 6 - (w / 36 + w**3 / 72) / root + (-8 / 405 + 7 / 810 * w**2 + w**4 / 270) / mean
    counts = (mean + root * w + series).floor().clamp_min(0)
    small = (mean < _SMALL_MEAN).nonzero(as_tuple=True)
    counts[small] = _by_summing(mean[small].double(), torch.special.ndtr(w[small].double())).to(mean)
    return counts


def _by_summing(mean: torch.Tensor, probability: torch.Tensor) -> torch.Tensor:
    counts = torch.zeros_like(mean)
    term = torch.exp(-mean)
    below = term.clone()
    for k in range(1, _LARGEST_SMALL_COUNT + 1):
        counts += probability > below
        term *= mean / k
        below += term
    return counts
