"""Factors that turn a PET's rescaled values into standardised uptake values by body weight (SUVbw, g/ml).

SUVbw = activity concentration (Bq/ml) · body weight (g) / dose (Bq), both at one time: the dose is decayed to the time
to which the vendor corrected the image. As in the vendor-neutral pseudo-code of the QIBA FDG-PET/CT profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .dicom_header import DicomFile
from .dicom_series import series_name
from .dicom_times import ROUNDING, injection_time, mean_acquisition, scan_start
from .faults import ImageFault

EXPECTED = "a PET that can be converted to SUV by body weight"
WEIGHT_KG = (1.0, 400.0)
DOSE_BQ = (1e6, 1e10)
DOSE_MBQ = (1.0, 1e4)
MOST_HALF_LIVES = 6.0
"""After six half-lives 1.6 % is left: nobody scans then, so a date or time must be wrong."""
_PHILIPS_CREATOR, _PHILIPS_GROUP, _PHILIPS_SUV, _PHILIPS_BQML = "Philips PET Private Group", 0x7053, 0x00, 0x09


def suv_factors(files: Sequence[DicomFile]) -> NDArray[np.float64]:
    """Factor of each slice, by which its rescaled values become SUVbw.

    Raises:
        ImageFault: Not attenuation-corrected; units other than Bq/ml, Philips counts with a factor, or SUVbw; an
            unknown or contradicting decay correction; missing or implausible weight, dose, half-life or times.
    """
    where, first = series_name(files), files[0]
    for keyword in ("Units", "DecayCorrection", "CorrectedImage", "PatientWeight"):
        if len({f.text(keyword) for f in files}) > 1:
            raise ImageFault(where, f"slices of different {keyword}", EXPECTED)
    if "ATTN" not in first.words("CorrectedImage"):
        raise ImageFault(where, "a PET without attenuation correction", EXPECTED)
    units = first.code("Units")
    if units == "GML":
        _check_suv_type(where, first)
        return np.ones(len(files))
    if units == "BQML":
        return _factors_of_activity(where, files)
    if units == "CNTS":
        suv, activity = ([_philips(f, e) for f in files] for e in (_PHILIPS_SUV, _PHILIPS_BQML))
        if all(suv):
            return np.array(suv)
        if all(activity):
            return np.array(activity) * _factors_of_activity(where, files)
        raise ImageFault(where, "counts (CNTS) without a factor to SUV or Bq/ml (7053,1000 or 7053,1009)", EXPECTED)
    raise ImageFault(where, f"units {units or 'unknown'}", f"BQML, CNTS with Philips' factor or GML: {EXPECTED}")


def _check_suv_type(where: Path, file: DicomFile) -> None:
    kind = file.code("SUVType")
    if kind not in ("", "BW"):
        raise ImageFault(where, f"SUV of type {kind}", "SUV by body weight (BW)")


def _philips(file: DicomFile, element: int) -> float:
    text = file.private_text(_PHILIPS_CREATOR, _PHILIPS_GROUP, element)
    try:
        value = float(text or 0)
    except ValueError:
        value = 0.0
    return value if np.isfinite(value) and value > 0 else 0.0


def _factors_of_activity(where: Path, files: Sequence[DicomFile]) -> NDArray[np.float64]:
    weight_g = 1000 * _weight_kg(where, files[0])
    dose = _dose_bq(where, files[0])
    mode = files[0].code("DecayCorrection")
    corrected = "DECY" in files[0].words("CorrectedImage")
    if mode not in ("START", "ADMIN", "NONE"):
        raise ImageFault(where, f"decay correction {mode or 'unknown'}", f"START, ADMIN or NONE: {EXPECTED}")
    if corrected == (mode == "NONE"):
        found = f"DecayCorrection {mode}, but CorrectedImage {'with' if corrected else 'without'} DECY"
        raise ImageFault(where, found, "headers that agree on decay correction")
    if mode == "ADMIN":
        return np.full(len(files), weight_g / dose)
    half_life = _half_life_s(where, files[0])
    start = scan_start(files, half_life) if mode == "START" else None
    times = [start or mean_acquisition(f, half_life) for f in files]
    elapsed = _elapsed_s(where, files[0], times, half_life)
    factors: NDArray[np.float64] = weight_g / (dose * 0.5 ** (elapsed / half_life))
    return factors


def _elapsed_s(where: Path, file: DicomFile, times: Sequence[datetime], half_life_s: float) -> NDArray[np.float64]:
    injected = injection_time(file, min(times), half_life_s)
    elapsed = np.array([(t - injected).total_seconds() for t in times])
    if elapsed.min() < -ROUNDING.total_seconds():
        raise ImageFault(where, f"an injection {timedelta(seconds=-elapsed.min())} after the scan", EXPECTED)
    if elapsed.max() > MOST_HALF_LIVES * half_life_s:
        found = f"a scan {elapsed.max() / 3600:.1f} h after injection, {elapsed.max() / half_life_s:.1f} half-lives"
        raise ImageFault(where, found, f"at most {MOST_HALF_LIVES:g} half-lives: a time or date must be wrong")
    return elapsed


def _weight_kg(where: Path, file: DicomFile) -> float:
    if not file.text("PatientWeight"):
        raise ImageFault(where, "no PatientWeight", EXPECTED)
    weight = file.numbers("PatientWeight", 1)[0]
    if not WEIGHT_KG[0] <= weight <= WEIGHT_KG[1]:
        raise ImageFault(where, f"a PatientWeight of {weight:g}", f"{WEIGHT_KG[0]:g}…{WEIGHT_KG[1]:g} kg")
    return weight


def _dose_bq(where: Path, file: DicomFile) -> float:
    """Injected dose; DICOM demands Bq, some scanners write MBq, and clinical doses tell the two apart."""
    dose = _injection_number(where, file, "RadionuclideTotalDose")
    if DOSE_BQ[0] <= dose <= DOSE_BQ[1]:
        return dose
    if DOSE_MBQ[0] <= dose <= DOSE_MBQ[1]:
        return dose * 1e6
    raise ImageFault(where, f"a RadionuclideTotalDose of {dose:g}", "1…10 000 MBq, in Bq or MBq")


def _half_life_s(where: Path, file: DicomFile) -> float:
    half_life = _injection_number(where, file, "RadionuclideHalfLife")
    if half_life <= 0:
        raise ImageFault(where, f"a RadionuclideHalfLife of {half_life:g}", "a half-life in seconds")
    return half_life


def _injection_number(where: Path, file: DicomFile, keyword: str) -> float:
    items = file.items("RadiopharmaceuticalInformationSequence")
    if len(items) != 1:
        raise ImageFault(where, f"{len(items)} radiopharmaceuticals in the header", f"one: {EXPECTED}")
    if not items[0].text(keyword):
        raise ImageFault(where, f"no {keyword}", EXPECTED)
    return items[0].numbers(keyword, 1)[0]
