"""One CT: unpack, calibrate, degrade slice by slice, measure, draw."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from reactkd_auto.dose import DoseCalibration, calibrate
from reactkd_auto.dose.degrade import Engine, degraded_slices, noise_engine
from reactkd_auto.dose.stream import DegradedSlices, MappedCt, mapped_ct, write_degraded
from reactkd_auto.jsonio import write_json
from reactkd_auto.planning.degrade.display import body_view
from reactkd_auto.planning.degrade.inputs import InputCt
from reactkd_auto.planning.degrade.measures import SliceNoise, measure_slice
from reactkd_auto.planning.degrade.options import Options
from reactkd_auto.planning.degrade.pictures import draw_maps, draw_slices
from reactkd_auto.planning.degrade.plots import draw_calibration, draw_spectra
from reactkd_auto.planning.degrade.regions import choose_slice
from reactkd_auto.planning.degrade.results import CtResult, Roi, SpectrumAgreement, degraded_name, picture_path
from reactkd_auto.progress import track

REALISATIONS: dict[Engine, int] = {"fft": 16, "fbp": 4}
"""Drawn for the page, beside the results; fewer where each takes seconds."""

_NOTABLE_DEPARTURE = 1.25

logger = logging.getLogger(__name__)


def degrade_one(
    ct: InputCt, output: Path, options: Options, device: torch.device, *, key: str, quiet: bool
) -> CtResult:
    """Write a CT at each dose, its calibration and its pictures.

    Raises:
        UserError: The CT cannot be used, or the disk is full.
    """
    files = [degraded_name(ct.case, a) for a in options.doses]
    with mapped_ct(ct.source, output) as mapped:
        stack = mapped.stack
        calibration = _calibration(mapped, options)
        write_json(output / f"{ct.case}_calibration.json", calibration)
        engine = noise_engine(stack, calibration, options.doses, engine=options.engine, device=device)
        shown, stream = choose_slice(stack), (options.seed, ct.case)
        kept: list[NDArray[Any]] = []
        slices = degraded_slices(engine, options.doses, stream, coupling=options.coupling, bias=options.bias)
        bar = track(_keeping(slices, shown, kept), what=ct.case, total=len(stack.array), quiet=quiet)
        began = time.monotonic()
        write_degraded(mapped, bar, [output / f for f in files])
        _tell(ct.case, calibration, len(stack.array), time.monotonic() - began)
        noise = measure_slice(
            engine,
            stack,
            dict(zip(options.doses, kept, strict=True)),
            index=shown,
            stream=stream,
            coupling=options.coupling,
            count=REALISATIONS[options.engine],
        )
        spectra = tuple(noise.spectrum_agreement(i, noise.doses[-1]) for i in range(len(noise.corners)))
        rois = noise.rois()
        _draw(output, ct.case, noise, spectra, mapped)
        return CtResult(
            key=key,
            case=ct.case,
            status="degraded",
            size=stack.array.shape,
            spacing_mm=stack.spacing,
            voxel_type=str(stack.array.dtype),
            files=tuple(files),
            calibration=calibration,
            slice_index=shown,
            realisations=noise.drawn.count,
            rois=rois,
            sd=tuple(noise.agreement(a) for a in noise.doses),
            spectra=spectra,
            warnings=(*_warnings(mapped, calibration, options), *_starvation(rois)),
        )


def _calibration(ct: MappedCt, options: Options) -> DoseCalibration:
    """Estimated from the CT, or the one given; flux a slice means nothing for a CT of another length."""
    given = options.calibration
    if given is None:
        return calibrate(ct.stack.array, spacing=ct.stack.spacing, kernel=options.kernel)
    if len(given.flux) in (1, len(ct.stack.array)):
        return given
    return dataclasses.replace(given, flux=(float(np.median(given.flux)),))


def _tell(case: str, calibration: DoseCalibration, slices: int, seconds: float) -> None:
    found = "preset" if calibration.fallback else f"calibration of confidence {calibration.confidence:.2f}"
    logger.info("%s: %s, %d slices written at %.0f ms a slice.", case, found, slices, 1000 * seconds / slices)


def _keeping(slices: DegradedSlices, wanted: int, kept: list[NDArray[Any]]) -> Iterator[tuple[int, list[NDArray[Any]]]]:
    """Pass slices on, and keep one."""
    for z, parts in slices:
        if z == wanted:
            kept.extend(parts)
        yield z, parts


def _draw(folder: Path, case: str, noise: SliceNoise, spectra: Sequence[SpectrumAgreement], ct: MappedCt) -> None:
    view = body_view(noise.hu, ct.stack.spacing[1:], ct.image.placement.direction, ct.stack.order)
    draw_slices(picture_path(folder, case, "slices"), noise, view)
    draw_maps(picture_path(folder, case, "maps"), noise, view)
    draw_calibration(picture_path(folder, case, "calibration"), noise, ct.stack)
    if spectra:
        draw_spectra(picture_path(folder, case, "spectra"), noise, spectra)


def _warnings(ct: MappedCt, calibration: DoseCalibration, options: Options) -> Iterator[str]:
    if calibration.fallback:
        yield f"The noise could not be calibrated on this CT, a preset was used: {calibration.fallback}."
    if calibration.ellipse_mm:
        y, x = (2 * a for a in calibration.ellipse_mm)
        yield (
            f"The CT is a crop; what lies outside is unknown, a body of {x:.0f} × {y:.0f} mm of water was assumed."
            " Direction and dose law of the noise follow that assumption."
        )
    given = options.calibration
    if given is not None and given.flux != calibration.flux:
        yield "The calibration given has another number of slices; its median flux was used for all."
    if ct.image.missing:
        yield f"{ct.image.missing} voxels are NaN or infinite; they were left as they are."
    if ct.stack.order != (0, 1, 2):
        yield "The CT is not stored in axial slices; the noise was added in its axial planes."


def _starvation(rois: Sequence[Roi]) -> Iterator[str]:
    """Where the noise rests on what was assumed of the detector rather than on what was found in the CT."""
    departures = [(roi.departure(at), at.dose) for roi in rois for at in roi.doses]
    worst, dose = max(departures, default=(1.0, 1.0))
    if worst > _NOTABLE_DEPARTURE:
        yield (
            f"At {100 * dose:.4g} % dose the noise is up to {worst:.1f} times what the number of photons alone would"
            " give: rays are starved, and the rest comes from the electronic noise and the readings per ray that were"
            " assumed. Take such doses with caution."
        )
