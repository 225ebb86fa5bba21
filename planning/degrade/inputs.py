"""Which CTs lie at the place given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.errors import UserError
from reactkd_auto.imageio.found_series import find_series
from reactkd_auto.imageio.reading import FORMATS, image_format
from reactkd_auto.imageio.sources import ImageSource, find_image_files


@dataclass(frozen=True)
class InputCt:
    """A CT to be degraded: its name in the outputs, where it comes from, and what is wrong with it, if headers tell."""

    case: str
    source: ImageSource
    fault: str = ""


def find_cts(given: Path, output: Path) -> list[InputCt]:
    """The CT of a file, or the CTs of a folder of any nesting (files and DICOM series), sorted by name.

    Names are those of `find_image_files` and `series_name_of`. The output folder is passed over.

    Raises:
        UserError: Nothing there, no CT in it, an unknown file ending, or two CTs of one name.
    """
    if not given.exists():
        raise UserError(f"{given}: no such file or folder, expected a CT or a folder of CTs.")
    if given.is_file():
        image_format(given)
    found: dict[str, InputCt] = {}
    for path, name in find_image_files(given, exclude=[output]):
        if other := found.get(name):
            raise UserError(f"{path}: {other.source.path.name} would have the same name, {name}, expected another.")
        found[name] = InputCt(name, ImageSource((path,)))
    series, _ = find_series(given, "CT", exclude=[output])
    found.update({each.name: InputCt(each.name, each.source, each.fault) for each in series})
    if not found:
        endings = ", ".join(FORMATS)
        raise UserError(f"{given}: no CT found in the folder, expected files ending in {endings}, or DICOM series.")
    return [ct for _, ct in sorted(found.items())]
