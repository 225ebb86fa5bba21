"""Where an image comes from, and what it is called without naming a patient."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from reactkd_auto.dataset import SAFE_CHARACTERS
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import file_hash

from .reading import FORMATS, read_image
from .walking import walk_files

_UID_DIGITS = 16


@dataclass(frozen=True)
class ImageSource:
    """An image file, or the slices of one DICOM series wherever they lie.

    Attributes:
        files: One image file, or the slices in any order.
        dicom: Which of the two.
    """

    files: tuple[Path, ...]
    dicom: bool = False

    @property
    def path(self) -> Path:
        """What messages call it: the file, or the folder that holds the slices."""
        return self.files[0].parent if self.dicom else self.files[0]

    def read(self) -> sitk.Image:
        """The image as float32, see `read_image` and `reactkd_auto.imageio.dicom.read_series`.

        Raises:
            ImageFault: As they do.
        """
        if not self.dicom:
            return read_image(self.files[0])
        from .dicom import read_series

        return read_series(self.files)

    def content_hash(self) -> str:
        """SHA-256 of a file's bytes; of slices, of their digests in rising order, so that places and names don't count.

        Raises:
            UserError: A file cannot be read.
        """
        digests = [_digest(path) for path in self.files]
        if not self.dicom:
            return digests[0]
        return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def find_image_files(root: Path, *, exclude: Collection[Path] = ()) -> Iterator[tuple[Path, str]]:
    """Image files of a folder of any nesting, or the one file, each with its name (see `image_name`)."""
    if root.is_file():
        yield root, image_name(Path(root.name))
        return
    for path in walk_files(root, exclude=exclude):
        if path.name.lower().endswith(tuple(FORMATS)):
            yield path, image_name(path.relative_to(root))


def image_name(place: Path) -> str:
    """A name for an image by its place below the folder that was given: ``a/b.nii.gz`` → ``a__b``.

    It depends on nothing else that lies there, so it stays when images come and go. Characters that may trouble file
    systems become ``_``.
    """
    ending = next((e for e in FORMATS if place.name.lower().endswith(e)), "")
    joined = "__".join((*place.parts[:-1], place.name[: len(place.name) - len(ending)])).lstrip(".")
    return "".join(c if c in SAFE_CHARACTERS else "_" for c in joined) or "image"


def series_name_of(uid: str, kind: str = "CT") -> str:
    """A pseudonym for a DICOM series: ``ct_`` and 16 digits of the SHA-256 of its SeriesInstanceUID.

    The same series always has the same name; nothing in it tells patient, study or date, and no table of names is kept:
    who holds the series can compute its name.
    """
    return f"{kind.lower()}_{hashlib.sha256(uid.encode()).hexdigest()[:_UID_DIGITS]}"


def without_folders(sentence: str, files: Iterable[Path], name: str) -> str:
    """A sentence about files for a page that is handed on: names of files stay, their folders go.

    Folders are named after patients here and there. Where a folder itself is meant, ``name`` takes its place.
    """
    folders = {parent for path in files for parent in path.parents if len(parent.parts) > 1}
    for folder in sorted(folders, key=lambda f: len(f.parts), reverse=True):
        sentence = sentence.replace(f"{folder}/", "").replace(str(folder), name)
    return sentence


def _digest(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise UserError(f"{path}: could not be read ({error.strerror}).") from None
