"""A tree of DICOM studies and a table of labels to a raw dataset, case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reactkd_auto.dataset import Channel, Dataset, LabelledCase, check_safe_name
from reactkd_auto.dataset_conversion.cohort import Conversion, write_cohort
from reactkd_auto.dataset_conversion.dicom.case_writing import CaseWriter
from reactkd_auto.dataset_conversion.dicom.choices import ANY, ChannelChoice, Choices, channel_choices, region_choices
from reactkd_auto.dataset_conversion.dicom.label_table import LabelRow, class_names, read_label_table
from reactkd_auto.dataset_conversion.dicom.selection import CaseSources, select_sources
from reactkd_auto.dataset_conversion.opening import open_cohort
from reactkd_auto.errors import UserError
from reactkd_auto.imageio.dicom_tree import Tree, scan_tree


def convert_dicom(
    source: Path,
    labels: Path,
    name: str,
    *,
    workspace: Path | None = None,
    id: int | None = None,
    classes: Sequence[str] | None = None,
    ordered: bool = False,
    left_right_symmetric: bool = False,
    ct: str = ANY,
    pet: Sequence[str] | None = None,
    mr: Sequence[str] = (),
    organ: Sequence[str] = (),
    context: Sequence[str] = (),
    lesion: Sequence[str] = (),
    skip_bad_channels: bool = False,
    workers: int | None = None,
    quiet: bool = False,
) -> Conversion:
    """Convert a cohort; a case that can't be made is reported, the others are finished, finished ones are kept.

    Args:
        source: Folder tree with the DICOM files, in any nesting.
        labels: CSV with columns ``patient`` (PatientID), ``label``, and where wanted ``study`` (StudyInstanceUID or
            StudyDate) and ``case`` (a pseudonym; else ``case_0001`` by the row).
        name: Of the dataset.
        workspace: Workspace folder.
        id: Dataset number.
        classes: Class names, lowest grade first; default: those of the table, sorted.
        ordered: Whether the classes are grades.
        left_right_symmetric: Whether a mirrored body is a plausible one.
        ct: Pattern for the CT's description or number, where a study has several.
        pet: ``NAME=PATTERN`` for each PET channel; the pattern is matched with description, number and tracer. None:
            one channel ``PET`` if there is any PET.
        mr: ``NAME=PATTERN`` for each MR channel.
        organ, context, lesion: ``NAME=PATTERN`` for regions; the pattern is matched with structures' names.
        skip_bad_channels: Keep a case without a PET or MR that can't be used, instead of refusing the case.
        workers: Processes; None: as many as cores and free memory allow.
        quiet: No progress bar.

    Raises:
        UserError: No source, a table or an option with a fault, a folder with cases made with other options.
    """
    source, labels = Path(source), Path(labels)
    if not source.is_dir():
        raise UserError(f"{source}: no such folder, expected a tree of DICOM files.")
    _check_name(name)
    rows = read_label_table(labels)
    regions = region_choices(organ, context, lesion)
    names = class_names(labels, rows, tuple(classes) if classes else None)
    channels = channel_choices(pet or (), mr)
    options = {
        "ct": ct, "pet": pet, "mr": list(mr), "organ": list(organ), "context": list(context), "lesion": list(lesion),
    }  # fmt: skip
    folder = open_cohort(workspace, name, id, {"source": source.resolve(), **options})
    tree = scan_tree(source, quiet=quiet)
    if pet is None:
        channels = (*_any_pet(rows, tree), *channels)
    choices = Choices(ct, channels, regions)
    try:
        dataset = Dataset(
            name=name,
            channels=(Channel("CT", "ct"), *(Channel(c.name, c.role) for c in channels)),
            classes=names,
            regions=tuple(c.region for c in regions),
            classes_ordered=ordered,
            left_right_symmetric=left_right_symmetric,
            source="DICOM, by reactkd_convert_dicom",
        )
    except ValueError as error:
        raise UserError(f"options: {error}.") from None
    return write_studies(
        folder,
        dataset,
        rows,
        tree,
        CaseWriter(folder, dataset, choices, skip_bad_channels),
        options={**options, "skip_bad_channels": skip_bad_channels},
        workers=workers,
        quiet=quiet,
    )


def write_studies(
    folder: Path,
    dataset: Dataset,
    rows: Sequence[LabelRow],
    tree: Tree,
    writer: CaseWriter,
    *,
    options: Mapping[str, Any],
    workers: int | None,
    quiet: bool,
) -> Conversion:
    """Choose the series of every case, and write all of them."""
    sources: list[CaseSources] = []
    failures: dict[str, str] = {}
    for row in rows:
        try:
            sources.append(select_sources(row, tree, writer.choices))
        except UserError as error:
            failures[row.case] = str(error)
    labelled = [_labelled(r, dataset.classes) for r in rows]
    return write_cohort(
        folder, dataset, labelled, sources, writer, failures=failures, options=options, workers=workers, quiet=quiet
    )


def _check_name(name: str) -> None:
    """Before a folder is made by that name."""
    try:
        check_safe_name(name, "dataset name")
    except ValueError as error:
        raise UserError(f"--name: {error}.") from None


def _any_pet(rows: list[LabelRow], tree: Tree) -> tuple[ChannelChoice, ...]:
    patients = {r.patient for r in rows}
    found = any(s.kind == "PT" and s.patient in patients for s in tree.series)
    return (ChannelChoice("PET", "PT", ANY),) if found else ()


def _labelled(row: LabelRow, classes: tuple[str, ...]) -> LabelledCase:
    return LabelledCase(row.case, row.group, classes.index(row.label) if row.label else None)
