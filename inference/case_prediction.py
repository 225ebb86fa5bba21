"""One case, from its files to its answer and the files that explain it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import SimpleITK as sitk

from reactkd_auto.cases import PreprocessedCase
from reactkd_auto.inference.answer import answer_case
from reactkd_auto.inference.display import display_case
from reactkd_auto.inference.explanation import write_explanation
from reactkd_auto.inference.inputs import InputCase
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.inference.pictures import draw_case
from reactkd_auto.inference.reading import read_case
from reactkd_auto.inference.region_table import most_important
from reactkd_auto.inference.results import CaseResult
from reactkd_auto.regions.geometry import nearest_inside
from reactkd_auto.regions.slots import node_slots


@dataclass(frozen=True)
class _Layers:
    """What a picture shows, each in its own geometry."""

    image: sitk.Image
    regions: sitk.Image | None
    explanation: sitk.Image | None


def predict_case(
    case: InputCase, model: LoadedModel, output: Path, *, key: str, explanation: bool, flips: bool, dicom: bool
) -> CaseResult:
    """Read and answer one case; write its images, its picture and its DICOM objects.

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
    raw, own = answer.read.raw, answer.read.own
    painted = None
    if answer.explanation is not None and answer.prepared is not None:
        painted = write_explanation(output, answer.prepared, answer.explanation, answer.regions, own)
        layers = _Layers(raw.images[0], answer.regions, painted if answer.explanation.image.any() else None)
        _draw(output / "pictures" / f"{case.case}.png", answer.result, answer.prepared, layers, model)
    if dicom and case.channels[0].dicom:
        from reactkd_auto.inference.dicom_out import write_dicom

        notes = write_dicom(output / "dicom", case.channels[0].files, answer, painted, model)
        return replace(answer.result, warnings=(*answer.result.warnings, *notes))
    return answer.result


def _draw(path: Path, result: CaseResult, case: PreprocessedCase, layers: _Layers, model: LoadedModel) -> None:
    slots = {slot.name: slot for slot in node_slots(model.plan.graph, model.dataset)}
    shown = most_important(result.regions)
    z, y, x = case.nodes.shape[1:]
    centre = (z // 2, y // 2, x // 2)
    if shown is not None:
        slot = slots[shown.node]
        mask = case.nodes[slot.layer] == slot.index + 1
        centre = nearest_inside(mask) if mask.any() else centre
    display = display_case(
        layers.image,
        layers.regions,
        layers.explanation,
        dataset=model.dataset,
        properties=case.properties,
        grid_size=(z, y, x),
        centre_voxel=centre,
    )
    assert result.probabilities is not None
    probability = f"p = {max(result.probabilities):.2f} ± {result.uncertainty_std:.2f}"
    draw_case(
        path,
        display,
        title=f"{result.case}: {result.predicted_class}, {probability}",
        subtitle=f"planes through {'the middle' if shown is None else shown.node.replace('_', ' ')}",
        measure="class activation" if shown is None else "share of the evidence",
    )
