"""`degrade_ct`: CTs in, the same CTs at lower doses out, and a page."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reactkd_auto.errors import UserError
from reactkd_auto.imageio.sources import without_folders
from reactkd_auto.jsonio import content_hash, read_document
from reactkd_auto.lock import locked
from reactkd_auto.planning.degrade.inputs import InputCt, find_cts
from reactkd_auto.planning.degrade.options import DOSES, Options, check_options
from reactkd_auto.planning.degrade.results import CtResult, finished_result, write_result
from reactkd_auto.provenance import write_run

if TYPE_CHECKING:
    import torch

    from reactkd_auto.dose import DoseCalibration
    from reactkd_auto.dose.degrade import Coupling, Engine

VERSION = 1
"""Raised when results change, so that finished CTs are done again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Degraded:
    """What a run of `degrade_ct` left behind.

    Attributes:
        output: Its folder.
        results: One a CT, sorted by name.
        report: The page to open.
    """

    output: Path
    results: tuple[CtResult, ...]
    report: Path

    @property
    def failed(self) -> tuple[CtResult, ...]:
        """CTs that could not be degraded."""
        return tuple(r for r in self.results if r.status == "failed")


def degrade_ct(
    input: Path | str,
    output: Path | str,
    *,
    doses: Sequence[float] = DOSES,
    engine: Engine = "fft",
    coupling: Coupling = "shared",
    bias: bool = False,
    kernel: str = "standard",
    calibration: Path | str | DoseCalibration | None = None,
    seed: int = 0,
    device: str = "auto",
    quiet: bool = False,
) -> Degraded:
    """Write CTs as their scanner would have shown them at fractions of the dose; run again, finished CTs are kept.

    Memory does not grow with the number of slices, but for an NRRD or MetaImage, which is held once while it is read.

    Args:
        input: A CT in HU (.nii.gz, .nii, .nrrd, .mha), or a folder of any nesting with such files and DICOM series; a
            series is named by a hash of its UID, see `series_name_of`.
        output: Folder for the images, calibrations and the page.
        doses: Fractions from 0.005 to 1, at least one below 1.
        engine, coupling, bias: See `reactkd_auto.dose.degrade`.
        kernel: ``soft``, ``standard`` or ``sharp``: what to assume of a CT that cannot be calibrated.
        calibration: To be used for every CT instead of an estimate, as a file that an earlier run wrote or as it is.
        seed: Of the noise, together with the CT's name.
        device: ``auto``, ``cuda`` or ``cpu``.
        quiet: No progress bar.

    Returns:
        One result a CT.

    Raises:
        UserError: Nothing could be done: no CT there, a bad option, or the only CT cannot be used. A CT of a folder
            that cannot be used is a result of status ``failed``.
    """
    from reactkd_auto.device import choose_device
    from reactkd_auto.dose import DoseCalibration
    from reactkd_auto.planning.degrade.report import write_report

    given, folder = Path(input), Path(output)
    if isinstance(calibration, (str, Path)):
        calibration = read_document(DoseCalibration, Path(calibration))
    options = Options(tuple(map(float, doses)), engine, coupling, bias, kernel, calibration, seed)
    check_options(options)
    chosen = choose_device(device)
    _check_output(folder, given)
    cts = find_cts(given, folder)
    with locked(folder, "cases", "pictures"):
        attempt = _attempt if given.is_dir() else _result
        results = tuple(attempt(ct, folder, options, chosen, quiet=quiet) for ct in cts)
        recorded = {**vars(options), "input": given, "output": folder, "device": str(chosen)}
        report = write_report(folder, results, options)
        write_run(folder, seed=seed, plan_hash=None, options=recorded)
    return Degraded(folder, results, report)


def _check_output(folder: Path, given: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: a file, expected a folder for the results or nothing yet.")
    if given.is_dir() and folder.resolve() == given.resolve():
        raise UserError(f"{folder}: results would lie among the CTs and be taken for some, expected another folder.")


def _attempt(ct: InputCt, folder: Path, options: Options, device: torch.device, *, quiet: bool) -> CtResult:
    """One of several CTs: what is wrong with it is a result."""
    try:
        return _result(ct, folder, options, device, quiet=quiet)
    except UserError as error:
        result = CtResult("", ct.case, "failed", without_folders(str(error), ct.source.files, ct.case))
    write_result(folder, result)
    return result


def _result(ct: InputCt, folder: Path, options: Options, device: torch.device, *, quiet: bool) -> CtResult:
    """An earlier run's result, or a new one."""
    from reactkd_auto.planning.degrade.one_ct import degrade_one

    if ct.fault:
        raise UserError(ct.fault)
    key = content_hash([VERSION, ct.source.content_hash(), vars(options)])
    if result := finished_result(folder, ct.case, key):
        logger.info("%s: finished before, kept.", ct.case)
        return result
    try:
        result = degrade_one(ct, folder, options, device, key=key, quiet=quiet)
    except UserError as error:
        if ct.source.path.name in str(error):
            raise
        raise UserError(f"{ct.source.path}: {error}") from None
    write_result(folder, result)
    return result
