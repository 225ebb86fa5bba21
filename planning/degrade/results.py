"""What degradation says about a CT: the documents `cases/CASE.json`, from which the page is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reactkd_auto.dose import DoseCalibration
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import read_document, write_json
from reactkd_auto.planning.degrade.options import dose_name

Picture = Literal["slices", "maps", "spectra", "calibration"]


@dataclass(frozen=True)
class RoiAtDose:
    """One region of interest at one dose, HU.

    Attributes:
        dose: Fraction.
        mean_hu, sd_hu: Of the written image; the SD after a quadratic surface is taken off.
        mean_scatter_hu: Standard deviation over realisations of what the noise adds to the mean.
        expected_sd_hu: √(SD at full dose² + predicted added SD²).
        added_sd_hu: Of the written image less the full-dose one.
        realised_sd_hu: Of the noise of several realisations.
        sd_scatter_hu: Standard deviation over realisations of ``added_sd_hu``.
        predicted_sd_hu: Closed form.
    """

    dose: float
    mean_hu: float
    mean_scatter_hu: float
    sd_hu: float
    expected_sd_hu: float
    added_sd_hu: float
    realised_sd_hu: float
    sd_scatter_hu: float
    predicted_sd_hu: float


@dataclass(frozen=True)
class Roi:
    """A square of homogeneous soft tissue of the slice shown.

    Attributes:
        name: Its letter in the picture.
        corner: First row and column.
        mean_hu, sd_hu: At full dose; the SD after a quadratic surface is taken off.
        model_sd_hu: What the calibration says of the full-dose SD.
        doses: At each dose, falling.
    """

    name: str
    corner: tuple[int, int]
    mean_hu: float
    sd_hu: float
    model_sd_hu: float
    doses: tuple[RoiAtDose, ...]

    def departure(self, at: RoiAtDose) -> float:
        """Predicted added SD over the quantum law, full-dose SD × √(1/a − 1), which holds where photons are plenty."""
        return at.predicted_sd_hu / (self.model_sd_hu * math.sqrt(1 / at.dose - 1))


@dataclass(frozen=True)
class SdAgreement:
    """Measured over predicted SD of the added noise inside the body of the slice shown.

    Attributes:
        dose: Fraction.
        median, rms: Median ratio, and root mean square of ratio − 1.
        floor: What the rms would be of a perfect prediction, from two halves of the realisations.
    """

    dose: float
    median: float
    rms: float
    floor: float


@dataclass(frozen=True)
class SpectrumAgreement:
    """Measured over modelled noise power spectrum in one region at the lowest dose.

    Attributes:
        roi: Its letter.
        radial, directional: rms of measured / model − 1, over rings and over directions.
        radial_floor, directional_floor: What they would be of a perfect model, from two halves of the realisations.
        anisotropy: Largest over smallest model power over directions.
    """

    roi: str
    radial: float
    radial_floor: float
    directional: float
    directional_floor: float
    anisotropy: float


@dataclass(frozen=True)
class CtResult:
    """One CT's result.

    Attributes:
        key: Identity of the file and the options; a result is kept only for the same key.
        case: Name.
        status: ``degraded`` or ``failed``.
        reason: Why it failed.
        size, spacing_mm: (z, y, x) of the axial slices.
        voxel_type: Of the CT and of the results.
        files: Names of the images written, in the order of the doses asked for.
        calibration: What was used.
        slice_index: The slice shown, of the axial slices.
        realisations: Of the noise, measured there.
        rois, sd, spectra: Measurements there.
        warnings: Sentences that a person should read.
    """

    key: str
    case: str
    status: Literal["degraded", "failed"]
    reason: str = ""
    size: tuple[int, int, int] = (0, 0, 0)
    spacing_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    voxel_type: str = ""
    files: tuple[str, ...] = ()
    calibration: DoseCalibration | None = None
    slice_index: int = 0
    realisations: int = 0
    rois: tuple[Roi, ...] = ()
    sd: tuple[SdAgreement, ...] = ()
    spectra: tuple[SpectrumAgreement, ...] = ()
    warnings: tuple[str, ...] = ()
    schema_version: int = 1


def degraded_name(case: str, dose: float) -> str:
    """File of a CT at a dose."""
    return f"{case}_{dose_name(dose)}.nii.gz"


def picture_path(output: Path, case: str, what: Picture) -> Path:
    """A picture of a CT; the page embeds it."""
    return output / "pictures" / f"{case}_{what}.{'png' if what in ('slices', 'maps') else 'svg'}"


def write_result(output: Path, result: CtResult) -> None:
    """Write a CT's result; it comes last, so an interrupted CT counts as not done."""
    write_json(_path(output, result.case), result)


def finished_result(output: Path, case: str, key: str) -> CtResult | None:
    """The result of an earlier run of the same call, if its images are still there."""
    path = _path(output, case)
    if not path.exists():
        return None
    try:
        result = read_document(CtResult, path)
    except UserError:  # of another release: do it again
        return None
    whole = result.key == key and result.status == "degraded" and all((output / f).is_file() for f in result.files)
    return result if whole else None


def _path(output: Path, case: str) -> Path:
    return output / "cases" / f"{case}.json"
