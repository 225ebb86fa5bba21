"""Measured against predicted noise of a degraded CT, in one slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from reactkd_auto.dose.degrade import Coupling, added_doses, added_noise
from reactkd_auto.dose.engine import NoiseEngine
from reactkd_auto.dose.patches import PATCH, detrended
from reactkd_auto.dose.synthesis import NoiseModel, noise_model
from reactkd_auto.dose.volumes import AxialStack
from reactkd_auto.planning.degrade.regions import NAMES, body_of, choose_corners, square
from reactkd_auto.planning.degrade.results import Roi, RoiAtDose, SdAgreement, SpectrumAgreement
from reactkd_auto.planning.degrade.spectra import (
    Spectrum,
    measured_spectrum,
    modelled_sd,
    modelled_spectrum,
    patch_corners,
)

SMOOTHING_MM = 8.0
"""Side of the square that measured variances are averaged over."""


@dataclass(frozen=True, eq=False)
class Realisations:
    """Noise of one slice, drawn anew several times.

    Attributes:
        variance: (2, doses, rows, columns) HU², mean square of each half of the realisations.
        spectra: (2, regions, doses, PATCH, PATCH // 2 + 1) HU² mm², mean periodograms of each half.
        means, sds: (count, regions, doses) HU, mean and root mean square of each region.
    """

    variance: NDArray[np.float64]
    spectra: torch.Tensor
    means: NDArray[np.float64]
    sds: NDArray[np.float64]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.means)


@dataclass(frozen=True, eq=False)
class SliceNoise:
    """All that is measured and predicted in the slice shown.

    Attributes:
        model: Closed-form predictions.
        index: The slice.
        doses: Fractions below 1, falling.
        written: (rows, columns) of the result at each dose.
        corners: Of the regions.
        drawn: Realisations by the engine that made the results.
    """

    model: NoiseModel
    index: int
    doses: Sequence[float]
    written: Mapping[float, NDArray[np.generic]]
    corners: Sequence[tuple[int, int]]
    drawn: Realisations

    @cached_property
    def hu(self) -> NDArray[np.float32]:
        """(rows, columns) at full dose."""
        return np.nan_to_num(np.asarray(self.model.volume[self.index], dtype=np.float32), nan=-1000.0)

    @cached_property
    def body(self) -> NDArray[np.bool_]:
        """Pixels that ratios are told of."""
        return body_of(np.asarray(self.model.volume[self.index]))

    @cached_property
    def predicted(self) -> NDArray[np.float64]:
        """(doses, rows, columns) closed-form SD of the added noise, HU."""
        sd = self.model.added_sd(range(self.index, self.index + 1), self.doses)
        return sd[0].cpu().double().numpy()

    def measured(self, dose: float) -> NDArray[np.float64]:
        """(rows, columns) SD over realisations and an 8 mm square, HU."""
        return np.sqrt(self._smooth(self.drawn.variance[:, self.doses.index(dose)].mean(0)))

    def ratio(self, dose: float) -> NDArray[np.float64]:
        """(rows, columns) measured over predicted SD, both averaged (as variances) over an 8 mm square."""
        predicted = self._smooth(self.predicted[self.doses.index(dose)] ** 2)
        return self.measured(dose) / np.sqrt(np.maximum(predicted, 1e-12))

    def agreement(self, dose: float) -> SdAgreement:
        """The ratio's statistics inside the body."""
        ratio = self.ratio(dose)[self.body]
        halves = (np.sqrt(self._smooth(v)[self.body]) for v in self.drawn.variance[:, self.doses.index(dose)])
        return SdAgreement(dose, float(np.median(ratio)), _rms_deviation(ratio, 1.0), _sampling(*halves))

    def rois(self) -> tuple[Roi, ...]:
        """The regions at every dose."""
        return tuple(self._roi(i) for i in range(len(self.corners)))

    def spectrum(self, region: int, dose: float, half: int | None = None) -> Spectrum:
        """Noise power of a region at a dose, of all realisations or of one half of them."""
        drawn = self.drawn.spectra[:, region, self.doses.index(dose)]
        corners = patch_corners(self.corners[region], self.hu.shape)
        model = modelled_spectrum(self.model.rays, self.ray_sd(self.index, dose), corners)
        measured = drawn.mean(0) if half is None else drawn[half]
        return Spectrum(measured.numpy(), model.numpy(), self.model.rays.canvas.spacing)

    def spectrum_agreement(self, region: int, dose: float) -> SpectrumAgreement:
        """How far the measured spectrum is from the model."""
        whole, *halves = (self.spectrum(region, dose, half) for half in (None, 0, 1))
        _, along, expected = whole.directional()
        return SpectrumAgreement(
            roi=NAMES[region],
            radial=_rms_deviation(*whole.radial()[1:]),
            radial_floor=_sampling(*(h.radial()[1] for h in halves)),
            directional=_rms_deviation(along, expected),
            directional_floor=_sampling(*(h.directional()[1] for h in halves)),
            anisotropy=float(expected.max() / expected.min()),
        )

    def ray_sd(self, index: int, dose: float) -> torch.Tensor:
        """(ANGLES, BINS) SD of the rays of a slice: added at a dose; at dose 1, of the full-dose CT itself."""
        rays, counts = self.model.rays, self.model.counts(range(index, index + 1))
        if dose < 1:
            return rays.added_sigma(counts, [(1.0, dose)])[0, 0]
        return (rays.table.variance(counts[0]) / rays.calibration.readings).sqrt()

    def _smooth(self, variance: NDArray[np.float64]) -> NDArray[np.float64]:
        size = [max(1, round(SMOOTHING_MM / s)) for s in self.model.rays.canvas.spacing]
        return np.maximum(ndimage.uniform_filter(variance, size), 0.0)

    def _roi(self, region: int) -> Roi:
        here = square(self.corners[region])
        full = self.hu[here]
        sd = _detrended_sd(full)
        rows = []
        for i, dose in enumerate(self.doses):
            image = np.nan_to_num(np.asarray(self.written[dose][here], dtype=np.float32))
            predicted = float(np.sqrt(np.mean(self.predicted[i][here] ** 2)))
            rows.append(
                RoiAtDose(
                    dose=dose,
                    mean_hu=float(image.mean()),
                    mean_scatter_hu=float(np.sqrt(np.mean(self.drawn.means[:, region, i] ** 2))),
                    sd_hu=_detrended_sd(image),
                    expected_sd_hu=float(np.hypot(sd, predicted)),
                    added_sd_hu=float(np.sqrt(np.mean((image - full) ** 2))),
                    realised_sd_hu=float(np.sqrt(np.mean(self.drawn.sds[:, region, i] ** 2))),
                    sd_scatter_hu=float(self.drawn.sds[:, region, i].std(ddof=1)),
                    predicted_sd_hu=predicted,
                )
            )
        modelled = modelled_sd(self.model.rays, self.ray_sd(self.index, 1.0), [self.corners[region]])
        return Roi(NAMES[region], self.corners[region], float(full.mean()), sd, modelled, tuple(rows))


def measure_slice(
    engine: NoiseEngine,
    stack: AxialStack,
    written: Mapping[float, NDArray[np.generic]],
    *,
    index: int,
    stream: tuple[int, str],
    coupling: Coupling,
    count: int,
) -> SliceNoise:
    """Look at one slice of a degraded CT.

    Args:
        engine: That made the results; of ``stack``.
        stack: The CT.
        written: The slice as it was written, at each dose.
        index, stream, coupling, count: See `draw_realisations`.
    """
    doses, corners = added_doses(list(written)), choose_corners(stack, index)
    drawn = draw_realisations(engine, index, doses, corners, stream, coupling=coupling, count=count)
    return SliceNoise(_closed_form(engine, stack, doses), index, doses, written, corners, drawn)


def _closed_form(engine: NoiseEngine, stack: AxialStack, doses: Sequence[float]) -> NoiseModel:
    """The model that predicts what any engine draws."""
    if isinstance(engine, NoiseModel):
        return engine
    calibration, device = engine.rays.calibration, engine.rays.device
    return noise_model(stack.array, calibration, spacing=stack.spacing, doses=doses, device=device)


def draw_realisations(
    engine: NoiseEngine,
    index: int,
    doses: Sequence[float],
    corners: Sequence[tuple[int, int]],
    stream: tuple[int, str],
    *,
    coupling: Coupling,
    count: int,
) -> Realisations:
    """Draw the added noise of one slice ``count`` (even) times; its mean is 0, so mean squares are variances.

    Args:
        engine: Of the CT.
        index: The slice.
        doses: Fractions below 1, falling.
        corners: Of the regions whose spectra are wanted.
        stream: Seed and name; each realisation has random numbers of its own, none those of the results.
        coupling: As in `degrade`.
        count: Even.
    """
    shape = engine.rays.canvas.shape
    area = float(np.prod(engine.rays.canvas.spacing))
    around = [patch_corners(c, shape) for c in corners]
    variance = np.zeros((2, len(doses), *shape))
    spectra = torch.zeros(2, len(corners), len(doses), PATCH, PATCH // 2 + 1, dtype=torch.float64)
    means, squares = np.zeros((2, count, len(corners), len(doses)))
    for i in range(count):
        name = (stream[0], f"{stream[1]} realisation {i}")
        ((_, noise),) = added_noise(engine, doses, name, coupling=coupling, first=index, last=index + 1)
        for j, image in enumerate(noise[0].cpu().numpy().astype(np.float64)):
            variance[i % 2, j] += image**2 / (count // 2)
            for k, corner in enumerate(corners):
                spectra[i % 2, k, j] += measured_spectrum(image, around[k], area) / (count // 2)
                here = image[square(corner)]
                means[i, k, j], squares[i, k, j] = here.mean(), (here**2).mean()
    return Realisations(variance, spectra, means, np.sqrt(squares))


def _rms_deviation(measured: NDArray[np.float64], expected: NDArray[np.float64] | float) -> float:
    return float(np.sqrt(np.mean((measured / expected - 1) ** 2)))


def _sampling(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Relative sampling error of the mean of two halves: the difference of their logarithms scatters twice as much."""
    ratio = np.maximum(first, 1e-12) / np.maximum(second, 1e-12)
    return float(np.sqrt(np.mean(np.log(ratio) ** 2)) / 2)


def _detrended_sd(patch: NDArray[np.float32]) -> float:
    return float(detrended(patch[None]).std())
