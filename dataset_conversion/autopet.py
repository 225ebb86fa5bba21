"""Convert autoPET: whole-body CT and FDG- or PSMA-PET with lesion masks; label: the diagnosis, as far as it is known.

Layout of the source folder: either the challenge's of 2024 and later ::

    imagesTr/fdg_PATIENT_STUDY_0000.nii.gz      CT resampled to the PET, in HU
    imagesTr/fdg_PATIENT_STUDY_0001.nii.gz      PET in SUV
    imagesTr/psma_PATIENT_STUDY_0000.nii.gz     …
    labelsTr/fdg_PATIENT_STUDY.nii.gz           lesions, 0/1
    fdg_metadata.csv                            columns "File Location", "diagnosis"

or that of FDG-PET-CT-Lesions as NIfTI, one folder a study::

    FDG-PET-CT-Lesions/PETCT_PATIENT/STUDY/     CTres.nii.gz, SUV.nii.gz, SEG.nii.gz; CT.nii.gz, PET.nii.gz: not used
    fdg_metadata.csv

``File Location`` ends in ``PETCT_PATIENT/STUDY`` and perhaps a series. Studies that the table lacks are ungraded: all
of PSMA, whose patients have one diagnosis. A study with one tracer has no file for the other, which is normal. The CT
is the one that was resampled to the PET, because the masks are on that grid: its voxels are the PET's.

Public source: TCIA collection FDG-PET-CT-Lesions (Gatidis and Küstner 2022, doi 10.7937/gkr0-xv29) and
PSMA-FDG-PET-CT-Lesions, fdat.uni-tuebingen.de (Jeblick et al. 2024).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from reactkd_auto.dataset import Channel, Dataset, Region
from reactkd_auto.dataset_conversion.clinical_tables import class_values, find_table, read_column
from reactkd_auto.dataset_conversion.cohort import Conversion, cohort_parser, run_converter
from reactkd_auto.dataset_conversion.nifti_cohort import NiftiCase, convert_nifti
from reactkd_auto.errors import UserError

LOCATION, DIAGNOSIS = "File Location", "diagnosis"
TRACERS = ("fdg", "psma")
_STUDY_FILES = ("CTres.nii.gz", "SUV.nii.gz", "SEG.nii.gz")
_TCIA_STUDY = re.compile(r"\d\d-\d\d-\d{4}-.*-(\d+)")


def convert_autopet(
    source: Path,
    *,
    metadata: Path | None = None,
    classes: Sequence[str] | None = None,
    workspace: Path | None = None,
    id: int | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Conversion:
    """Convert the cohort; a bad case is reported, the others are finished, finished ones are kept.

    Args:
        source: Folder as in the module's description.
        metadata: The table; None: the one CSV file in ``source`` that has the columns.
        classes: Diagnoses; None: all of the table, sorted.
        workspace: Workspace folder.
        id: Dataset number.
        workers: Processes; None: as many as cores and free memory allow.
        quiet: No progress bar.

    Raises:
        UserError: No cases, no table or several, fewer than two diagnoses, a case twice, a folder made with other
            options.
    """
    source = Path(source)
    table = Path(metadata) if metadata else find_table(source, LOCATION, DIAGNOSIS)
    diagnoses = {_study_key(place): text for place, text in read_column(table, LOCATION, DIAGNOSIS).items()}
    names, labels = class_values(table, diagnoses, classes)
    graded = {study: names.index(name) for study, name in labels.items() if name}
    cases = _challenge_cases(source, graded) if (source / "imagesTr").is_dir() else _tcia_cases(source, graded)
    tracers = [t for i, t in enumerate(TRACERS, start=1) if i == 1 or any(i in c.images for c in cases)]
    dataset = Dataset(
        name="autoPET",
        channels=(Channel("CT", "ct"), *(Channel(t.upper(), "pet_suv") for t in tracers)),
        classes=names,
        regions=(Region("lesion", 1, "lesion"),),
        description="Whole-body PET/CT of melanoma, lymphoma, lung and prostate cancer; one tracer a study.",
        source="FDG-PET-CT-Lesions, doi 10.7937/gkr0-xv29, and PSMA-FDG-PET-CT-Lesions",
        licence="the terms of the archive from which you have your copy",
    )
    return convert_nifti(
        source,
        dataset,
        cases,
        expected="a folder imagesTr, or folders PETCT_PATIENT/STUDY with CTres.nii.gz, SUV.nii.gz and SEG.nii.gz",
        workspace=workspace,
        id=id,
        options={"metadata": table.resolve(), "classes": classes and list(classes)},
        workers=workers,
        quiet=quiet,
    )


def _study_key(location: str) -> str:
    """Patient and study of a place in the archive, as the challenge's file names have them: ``PATIENT_STUDY``."""
    parts = PurePosixPath(location.replace("\\", "/")).parts
    start = next((i for i, p in enumerate(parts) if p.startswith("PETCT_")), None)
    return "_".join(parts[start : start + 2]).removeprefix("PETCT_") if start is not None else location


def _challenge_cases(source: Path, graded: dict[str, int]) -> list[NiftiCase]:
    ending = "_0000.nii.gz"
    cases = []
    for ct in sorted((source / "imagesTr").glob(f"*{ending}")):
        name = ct.name.removesuffix(ending)
        tracer, _, study = name.partition("_")
        pet = ct.with_name(f"{name}_0001.nii.gz")
        cases.append(_case(tracer, study, graded, (ct, pet, source / "labelsTr" / f"{name}.nii.gz")))
    return cases


def _tcia_cases(source: Path, graded: dict[str, int]) -> list[NiftiCase]:
    folders = sorted({p.parent for name in _STUDY_FILES for p in source.rglob(name)})
    return [_case("fdg", _study_key(str(f)), graded, tuple(f / name for name in _STUDY_FILES)) for f in folders]


def _case(tracer: str, study: str, graded: dict[str, int], files: tuple[Path, ...]) -> NiftiCase:
    ct, pet, mask = files
    patient, _, visit = study.partition("_")
    short = match[1] if (match := _TCIA_STUDY.fullmatch(visit)) else re.sub(r"[^A-Za-z0-9.-]+", "_", visit)
    if tracer not in TRACERS:
        raise UserError(f"{ct}: tracer {tracer!r}, expected a name that begins with {' or '.join(TRACERS)}.")
    group = f"{tracer}_{patient}"
    return NiftiCase(f"{group}_{short}", group, graded.get(study), {0: ct, 1 + TRACERS.index(tracer): pet}, mask)


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_convert_autopet``."""
    parser = cohort_parser("reactkd_convert_autopet", __doc__ or "")
    metadata_help = "the table; default: the one CSV file in SOURCE that has the columns"
    parser.add_argument("--metadata", type=Path, metavar="CSV", help=metadata_help)
    parser.add_argument("--classes", nargs="+", metavar="DIAGNOSIS", help="diagnoses; others are ungraded")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_convert_autopet``."""
    return run_converter(convert_autopet, build_parser(), argv)
