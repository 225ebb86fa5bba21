"""One case, from its files to its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.cases import PreprocessedCase
from reactkd_auto.imageio import RawCase
from reactkd_auto.inference.display import display_case
from reactkd_auto.inference.ensemble import run_ensemble
from reactkd_auto.inference.explanation import Explanation, explain, write_explanation
from reactkd_auto.inference.inputs import InputCase
from reactkd_auto.inference.localise import find_regions
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.inference.pictures import draw_case
from reactkd_auto.inference.reading import ReadCase, read_case
from reactkd_auto.inference.region_table import most_important, region_rows
from reactkd_auto.inference.results import CaseResult, RegionSource, normalised_entropy
from reactkd_auto.plan import Plan
from reactkd_auto.preprocessing import preprocess_case
from reactkd_auto.preprocessing.batch import centre_window, collate
from reactkd_auto.regions.geometry import nearest_inside
from reactkd_auto.regions.slots import node_slots


@dataclass(frozen=True)
class _Regions:
    """A case's region map in canonical orientation, where it came from, or why there is none."""

    image: sitk.Image | None
    source: RegionSource
    reason: str = ""


@dataclass(frozen=True)
class _Layers:
    """What a picture shows, each in its own geometry."""

    image: sitk.Image
    regions: sitk.Image | None
    explanation: sitk.Image | None


def predict_case(
    case: InputCase, model: LoadedModel, output: Path, *, key: str, explanation: bool, flips: bool
) -> CaseResult:
    """Read, localise, preprocess, predict and explain one case; write its images and picture.

    Args:
        case: Its files.
        model: The model.
        output: Folder of the run.
        key: Identity of this question, kept in the answer.
        explanation: Whether to explain and draw.
        flips: Whether to average mirror images.

    Raises:
        UserError: A file of the case is not what it should be.
    """
    read = read_case(case, model.dataset)
    regions = _regions_of(read, model)
    if model.required_values and not _has_any(regions.image, model.required_values):
        return CaseResult(key, case.case, "not classified", reason=regions.reason, regions_from=regions.source)
    raw = RawCase(case.case, read.raw.images, regions.image)
    prepared = preprocess_case(
        raw, plan=_without_coarse(model.plan), dataset=model.dataset, patient=case.case, label=None
    )
    window = centre_window(model.plan)
    batch = collate([_cut(prepared, window)], model.plan, model.dataset).to(model.device)
    ensemble = run_ensemble(model, batch, flips=flips)
    explained = explain(ensemble, prepared, window) if explanation else None
    slots = node_slots(model.plan.graph, model.dataset)
    result = CaseResult(
        key=key,
        case=case.case,
        status="classified",
        predicted_class=model.dataset.classes[ensemble.target],
        probabilities=tuple(ensemble.probabilities.tolist()),
        uncertainty_std=ensemble.spread,
        entropy=normalised_entropy(ensemble.probabilities.tolist()),
        members=len(ensemble.members),
        regions_from=regions.source,
        regions=region_rows(prepared, slots, ensemble, explained, model.dataset.classes),
        warnings=_warnings(prepared, explained),
        explained=explained is not None,
        picture=explained is not None,
    )
    if explained is not None:
        painted = write_explanation(output, prepared, explained, regions.image, read.own)
        layers = _Layers(read.raw.images[0], regions.image, painted if explained.image.any() else None)
        _draw(Path(output) / "pictures" / f"{case.case}.png", result, prepared, layers, model)
    return result


def _regions_of(read: ReadCase, model: LoadedModel) -> _Regions:
    """The given region map, else the localiser's, with the sentence for a case in which neither shows a region."""
    names = [r.name for r in model.dataset.regions if r.value in model.required_values]
    what = " or ".join(names) or "region"
    if read.raw.regions is not None:
        return _Regions(read.raw.regions, "region maps", f"The given region map shows no {what}.")
    if not model.localisers:
        return _Regions(None, "none", f"No region map was given (-r), and the model has no localiser to find {what}.")
    found = find_regions(read.raw.images[0], model)
    return _Regions(found, "localiser", f"The model's localiser found no {what} in this image.")


def _has_any(regions: sitk.Image | None, values: Sequence[int]) -> bool:
    return regions is not None and bool(np.isin(sitk.GetArrayViewFromImage(regions), values).any())


def _without_coarse(plan: Plan) -> Plan:
    """The plan without the localiser's image, which has done its work by then."""
    return replace(plan, localiser=replace(plan.localiser, enabled=False))


def _cut(case: PreprocessedCase, window: tuple[slice, slice, slice]) -> PreprocessedCase:
    """The case's arrays within the patch."""
    inside = (slice(None), *window)
    return replace(
        case,
        image=case.image[inside],
        valid=case.valid[window],
        nodes=case.nodes[inside],
        noise=case.noise[inside],
        log_ratio=case.log_ratio[inside],
    )


def _warnings(case: PreprocessedCase, explanation: Explanation | None) -> tuple[str, ...]:
    warnings = list(case.properties.flags)
    if explanation is not None and explanation.node_share is not None and not (explanation.node_share > 0).any():
        warnings.append("No region speaks for the answer: it rests on the image as a whole.")
    return tuple(warnings)


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
