"""One case, from its files to its answer and the files that explain it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reactkd_auto.inference.answer import answer_case
from reactkd_auto.inference.inputs import InputCase
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.inference.reading import read_case
from reactkd_auto.inference.results import CaseResult
from reactkd_auto.inference.showing import show_case


def predict_case(
    case: InputCase, model: LoadedModel, output: Path, *, key: str, explanation: bool, flips: bool, dicom: bool
) -> CaseResult:
    """Read and answer one case; write what there is to look at and its DICOM objects.

    Args:
        case: Its files.
        model: The model.
        output: Folder of the run.
        key: Identity of this question, kept in the answer.
        explanation: Whether to explain and draw.
        flips: Whether to average mirror images.
        dicom: Whether to write DICOM objects of a case that came as DICOM.

    Raises:
        UserError: A file of the case is not what it should be, or the disk is full.
    """
    answer = answer_case(read_case(case, model.dataset), model, key=key, explanation=explanation, flips=flips)
    images = show_case(output, answer, model)
    if dicom and case.channels[0].dicom:
        from reactkd_auto.inference.dicom_out import write_dicom

        notes = write_dicom(output / "dicom", case.channels[0].files, answer, images.get("explanation"), model)
        return replace(answer.result, warnings=(*answer.result.warnings, *notes))
    return answer.result
