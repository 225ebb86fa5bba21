"""Registrations on disk: made once, taken up again while files and settings are the same.

``CASE+SESSION.tfm`` is the transform (ITK's text form: points of the base image to points of the session; 3D Slicer
reads it), ``CASE+SESSION.png`` shows it, ``CASE+SESSION.json`` is the document, written last: without it, nothing is
there. No case or session has a plus in its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import Registration
from reactkd_auto.jsonio import atomic_path, read_document, write_json

from .session import Solution

Transforms = tuple[sitk.Euler3DTransform, sitk.BSplineTransform | None]


@dataclass(frozen=True)
class Drawn:
    """A solution and its picture (PNG)."""

    solution: Solution
    png: bytes


def document_path(store: Path, session: str, case: str) -> Path:
    """``store/CASE+SESSION.json``."""
    return Path(store) / f"{case}+{session}.json"


def picture_path(store: Path, session: str, case: str) -> Path:
    """``store/CASE+SESSION.png``."""
    return Path(store) / f"{case}+{session}.png"


def transform_path(store: Path, session: str, case: str) -> Path:
    """``store/CASE+SESSION.tfm``."""
    return Path(store) / f"{case}+{session}.tfm"


def read_registration(store: Path, session: str, case: str, key: str) -> Registration | None:
    """What was found before, if it was found from the same."""
    path = document_path(store, session, case)
    if not path.is_file():
        return None
    try:
        known = read_document(Registration, path)
    except UserError:  # written by another release, or damaged: made again
        return None
    complete = known.quality is None or transform_path(store, session, case).is_file()
    return known if known.key == key and complete else None


def write_registration(store: Path, case: str, record: Registration, drawn: Drawn | None = None) -> None:
    """Write transform and picture where something was registered, then the document."""
    document = document_path(store, record.session, case)
    document.unlink(missing_ok=True)
    if drawn is not None:
        bspline = drawn.solution.bspline
        parts = [drawn.solution.rigid] if bspline is None else [drawn.solution.rigid, bspline]
        with atomic_path(transform_path(store, record.session, case), failures=(RuntimeError,)) as temporary:
            sitk.WriteTransform(sitk.CompositeTransform(parts), str(temporary))
        with atomic_path(picture_path(store, record.session, case)) as temporary:
            temporary.write_bytes(drawn.png)
    write_json(document, record)


def read_transforms(store: Path, session: str, case: str) -> Transforms:
    """The transforms that `reactkd_auto.registration.moving.bring` takes."""
    composite = sitk.CompositeTransform(sitk.ReadTransform(str(transform_path(store, session, case))))
    bends = composite.GetNumberOfTransforms() > 1
    rigid = sitk.Euler3DTransform(composite.GetNthTransform(0))
    return rigid, sitk.BSplineTransform(composite.GetNthTransform(1)) if bends else None
