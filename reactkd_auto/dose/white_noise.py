"""White noise of slices as Fourier coefficients, correlated along z."""

from __future__ import annotations

import math

import torch

from .random_numbers import complex_normal

_STREAMS_KEPT = 8


class WhiteNoise:
    """Real FFTs of real white noise, one a slice; drawn as such, so that no transform is needed.

    A slice depends on its index and the stream's key only. Neighbours share coefficients, so those of the last slices
    are kept.

    Args:
        size: Rows and columns, the latter even.
        taps: Unit-norm filter along z, an odd number.
        device: Where to draw.
    """

    def __init__(self, size: tuple[int, int], taps: tuple[float, ...], device: torch.device) -> None:
        self.size, self.taps, self.device = size, taps, device
        self._kept: dict[int, tuple[range, torch.Tensor]] = {}

    def spectrum(self, key: int, indices: range) -> torch.Tensor:
        """(n, rows, columns // 2 + 1) complex64 of a stream's slices, real and imaginary part of variance 1.

        Multiplied by √(rows · columns / 2), it belongs to a variance of 1 in the pixels.
        """
        reach = len(self.taps) // 2
        drawn = self._rows(key, range(indices.start - reach, indices.stop + reach))
        mixed = drawn[: len(indices)] * self.taps[0]
        for j, tap in enumerate(self.taps[1:], start=1):
            mixed.add_(drawn[j : j + len(indices)], alpha=tap)
        return mixed

    def _rows(self, key: int, rows: range) -> torch.Tensor:
        """Uncorrelated coefficients; those that the call before drew for the same stream are not drawn again."""
        before, drawn = self._kept.pop(key, (range(0), None))
        if drawn is not None and before.start <= rows.start < before.stop < rows.stop:
            new = self._draw(key, range(before.stop, rows.stop))
            drawn = torch.cat([drawn[rows.start - before.start :], new])
        else:
            drawn = self._draw(key, rows)
        if len(self.taps) > 1:
            self._kept[key] = rows, drawn
        if len(self._kept) > _STREAMS_KEPT:
            del self._kept[next(iter(self._kept))]
        return drawn

    def _draw(self, key: int, rows: range) -> torch.Tensor:
        height, width = self.size[0], self.size[1] // 2 + 1
        drawn = complex_normal(key, rows, height * width, self.device).view(len(rows), height, width)
        for column in (0, width - 1):
            # These hold both halves of the plane: Z(−f) must be Z(f)*.
            values = drawn[:, :, column]
            drawn[:, :, column] = (values + values.flip(1).roll(1, 1).conj()) * math.sqrt(0.5)
        return drawn
