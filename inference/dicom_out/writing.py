"""Writing the DICOM objects of one answer."""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from reactkd_auto.errors import UserError
from reactkd_auto.inference.answer import Answer
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.inference.reading import on_own_grid
from reactkd_auto.jsonio import atomic_path

if TYPE_CHECKING:
    import pydicom

logger = logging.getLogger(__name__)

_UNUSABLE = (AttributeError, KeyError, TypeError, ValueError)
"""What highdicom raises for a header that lacks or contradicts what its objects must repeat."""


def require_highdicom() -> None:
    """Check that DICOM objects can be written.

    Raises:
        UserError: highdicom is not installed.
    """
    if find_spec("highdicom") is None:
        raise UserError("--dicom needs highdicom, which is not installed: pip install 'reactkd_auto[dicom]'.")


def write_dicom(
    folder: Path, files: Sequence[Path], answer: Answer, explanation: sitk.Image | None, model: LoadedModel
) -> tuple[str, ...]:
    """Write ``CASE_report.dcm`` and, where there are any, ``CASE_regions.dcm`` and ``CASE_explanation.dcm``.

    They belong to the patient's study and bear the patient's name and identifiers, as their source does.

    Args:
        folder: For the objects.
        files: Slices of the series that the answer is about.
        answer: The answer.
        explanation: In the geometry of the series; None where there is none.
        model: That made it.

    Returns:
        Why they could not be made, if so, for the case's warnings.

    Raises:
        UserError: The disk is full.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's and highdicom's quote values, which may be a patient's
            objects = _objects(files, answer, explanation, model)
    except _UNUSABLE as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        logger.debug("%s: %s in %s", answer.result.case, type(error).__name__, where)
        return (f"No DICOM objects could be made of this series' headers ({type(error).__name__}).",)
    for kind, made in objects.items():
        with atomic_path(folder / f"{answer.result.case}_{kind}.dcm") as temporary:
            made.save_as(temporary, enforce_file_format=True)
    return ()


def _objects(
    files: Sequence[Path], answer: Answer, explanation: sitk.Image | None, model: LoadedModel
) -> dict[str, pydicom.Dataset]:
    from reactkd_auto.inference.dicom_out.explanation_map import explanation_map
    from reactkd_auto.inference.dicom_out.identity import identify
    from reactkd_auto.inference.dicom_out.regions import present_regions, segmentation
    from reactkd_auto.inference.dicom_out.structured_report import structured_report

    identity = identify(files, key=answer.result.key, model_hash=model.hash)
    objects: dict[str, pydicom.Dataset] = {}
    regions, volumes = None, []
    if answer.regions is not None:
        labels = sitk.GetArrayFromImage(on_own_grid(answer.regions, answer.read.own))
        shown = present_regions(labels, model.dataset.regions)
        if shown:
            automatic = answer.result.regions_from != "region maps"
            regions = objects["regions"] = segmentation(labels, shown, identity, automatic=automatic)
            voxel_mm3 = float(np.prod(answer.read.own.spacing_mm))
            volumes = [voxel_mm3 * np.count_nonzero(labels == r.value) for r in shown]
    values = None if explanation is None else sitk.GetArrayViewFromImage(explanation)
    if values is not None and values.any():
        objects["explanation"] = explanation_map(values, identity)
    objects["report"] = structured_report(
        answer.result, model.dataset.classes, identity, regions=regions, volumes_mm3=volumes
    )
    return objects
