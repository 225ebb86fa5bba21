"""The volumes of one modality in a tree of DICOM files, under names that tell no patient."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .dicom_tree import Series, Tree, scan_tree
from .faults import ImageFault
from .sources import ImageSource, series_name_of


@dataclass(frozen=True)
class FoundSeries:
    """A volume, or damage that may have been one.

    Attributes:
        name: See `series_name_of`.
        source: Its slices; the damaged file where a folder holds nothing but damage.
        series: What its headers say; None for mere damage.
        fault: Why it can't be read, as far as headers tell; empty for a sound series.
    """

    name: str
    source: ImageSource
    series: Series | None
    fault: str = ""


def find_series(
    root: Path, kind: str, *, exclude: Collection[Path] = (), quiet: bool = False
) -> tuple[list[FoundSeries], Tree]:
    """All series of a kind (``CT``, ``PT``, ``MR``) below a folder, and the tree that they were found in.

    Slices of a series belong together wherever they lie. A folder in which nothing but damaged files lies is listed
    too, so that it is missed by nobody.
    """
    tree = scan_tree(root, exclude=exclude, quiet=quiet)
    parts: dict[str, list[Series]] = {}
    for series in tree.series:
        if series.kind == kind:
            parts.setdefault(series.uid, []).append(series)
    found = [_found(series, tree) for _, series in sorted(parts.items())]
    used = {path.parent for series in tree.series for path in series.files}
    for folder in sorted(set(tree.damaged) - used):
        name = series_name_of(str(folder.relative_to(root)), "unreadable")
        fault = tree.damaged[folder]
        found.append(FoundSeries(name, ImageSource((Path(fault.problem.file),), dicom=True), None, str(fault)))
    return found, tree


def _found(parts: list[Series], tree: Tree) -> FoundSeries:
    """Parts: the series' slices, once for each PatientID that they bear."""
    source = ImageSource(tuple(sorted(p for part in parts for p in part.files)), dicom=True)
    fault = ""
    try:
        tree.check_damage(*parts)
    except ImageFault as error:
        fault = str(error)
    return FoundSeries(series_name_of(parts[0].uid, parts[0].kind), source, parts[0], fault)
