"""A tree of DICOM studies and a table of labels to a raw dataset, case by case."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.dataset import Channel, Dataset, LabelledCase, check_safe_name
from reactkd_auto.dataset_conversion.copying import close_dataset, open_dataset
from reactkd_auto.dataset_conversion.dicom.case_writing import RECORDS, CaseWriter, discard_case
from reactkd_auto.dataset_conversion.dicom.choices import ANY, ChannelChoice, Choices, channel_choices, region_choices
from reactkd_auto.dataset_conversion.dicom.label_table import LabelRow, class_names, read_label_table
from reactkd_auto.dataset_conversion.dicom.scan import Tree, scan_tree
from reactkd_auto.dataset_conversion.dicom.selection import CaseSources, select_sources
from reactkd_auto.errors import UserError
from reactkd_auto.execution import CaseFailure, map_cases
from reactkd_auto.imageio import list_cases
from reactkd_auto.jsonio import remove_leftovers
from reactkd_auto.lock import locked
from reactkd_auto.provenance import write_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conversion:
    """What became of a cohort.

    Attributes:
        folder: Of the dataset.
        cases: How many the table has.
        failures: One sentence for each case that could not be made, by name.
        skipped: One sentence for each channel that was left out, by case and channel.
    """

    folder: Path
    cases: int
    failures: dict[str, str]
    skipped: dict[str, str]


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
        UserError: No source, a table or an option with a fault, a folder made with other options.
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
    folder = open_dataset(workspace, name, id, {"source": source.resolve(), **options})
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
    with locked(folder):
        (folder / "dataset.json").unlink(missing_ok=True)  # comes back last of all
        writer = CaseWriter(folder, dataset, choices, skip_bad_channels)
        failures, skipped = _write_cases(rows, tree, writer, workers=workers, quiet=quiet)
        made = [_labelled(r, names) for r in rows if r.case not in failures]
        if made:
            close_dataset(folder, dataset, made)
            write_run(folder, seed=None, plan_hash=None, options={**options, "skip_bad_channels": skip_bad_channels})
    return Conversion(folder, len(rows), failures, skipped)


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


def _write_cases(
    rows: list[LabelRow], tree: Tree, writer: CaseWriter, *, workers: int | None, quiet: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Failures by case, skipped channels by case and channel."""
    folder = writer.folder
    remove_leftovers(folder, *(folder / f for f in ("imagesTr", "regionsTr", RECORDS)))
    sources: list[CaseSources] = []
    failures: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for row in rows:
        try:
            sources.append(select_sources(row, tree, writer.choices))
        except UserError as error:
            failures[row.case] = str(error)
    for stale in {*list_cases(folder, writer.dataset), *failures} - {s.case for s in sources}:
        discard_case(folder, stale, writer.dataset.file_ending)
    for source, result in map_cases(
        writer, sources, workers=workers, what="converting", quiet=quiet, name=lambda s: s.case
    ):
        if isinstance(result, CaseFailure):
            failures[source.case] = result.sentence
        else:
            skipped.update({f"{source.case}, {channel}": why for channel, why in result.items()})
    return failures, skipped


def _labelled(row: LabelRow, classes: tuple[str, ...]) -> LabelledCase:
    return LabelledCase(row.case, row.group, classes.index(row.label) if row.label else None)
