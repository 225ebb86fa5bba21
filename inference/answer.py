"""The answer to one case in memory: regions, preprocessing, every pass of the ensemble, explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from reactkd_auto.cases import PreprocessedCase
from reactkd_auto.imageio import RawCase
from reactkd_auto.inference.ensemble import Ensemble, run_ensemble
from reactkd_auto.inference.explanation import Explanation, explain
from reactkd_auto.inference.implausible import measured_noise, strange_intensities, strange_noise, strange_regions
from reactkd_auto.inference.localise import find_regions
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.inference.reading import ReadCase
from reactkd_auto.inference.region_table import region_rows
from reactkd_auto.inference.results import CaseResult, RegionSource, normalised_entropy
from reactkd_auto.plan import Plan
from reactkd_auto.preprocessing import preprocess_case
from reactkd_auto.preprocessing.batch import Batch, centre_window, collate
from reactkd_auto.preprocessing.supervoxels import supervoxel_map, supervoxel_values
from reactkd_auto.regions.slots import node_slots

NOT_CALIBRATED = "The model has no calibration.json: probabilities are as the networks gave them."


@dataclass(frozen=True)
class Answer:
    """What a model says about a case.

    Attributes:
        result: Numbers and sentences.
        read: The case as it was read.
        regions: Region map in canonical orientation that the answer rests on; None where there is none.
        prepared: The case as the network saw it; None where it was not classified.
        explanation: None where none was asked for, or nothing was classified.
    """

    result: CaseResult
    read: ReadCase
    regions: sitk.Image | None = None
    prepared: PreprocessedCase | None = None
    explanation: Explanation | None = None


@dataclass(frozen=True)
class _Regions:
    """A case's region map in canonical orientation, where it came from, or why there is none."""

    image: sitk.Image | None
    source: RegionSource
    reason: str = ""


def answer_case(read: ReadCase, model: LoadedModel, *, key: str, explanation: bool, flips: bool) -> Answer:
    """Localise, check, preprocess, predict and explain one case.

    Args:
        read: The case in memory.
        model: The model.
        key: Identity of this question, kept in the answer.
        explanation: Whether to explain.
        flips: Whether to average mirror images.
    """
    case, regions = read.raw.case, _regions_of(read, model)
    check = _check(read, regions, model)
    blank = CaseResult(
        key,
        case,
        "not classified",
        reason=check.reason,
        regions_from=regions.source,
        noise_hu=check.noise_hu,
        noise_trained_hu=model.domain.noise_hu,
        warnings=(*read.notes, *check.warnings),
    )
    if check.reason:
        return Answer(blank, read)
    raw = RawCase(case, read.raw.images, regions.image)
    prepared = preprocess_case(raw, plan=_without_coarse(model.plan), dataset=model.dataset, patient=case, label=None)
    if case in model.covariates:
        prepared = replace(prepared, properties=replace(prepared.properties, covariates=model.covariates[case]))
    window = centre_window(model.plan)
    ensemble = run_ensemble(model, patch_batch(prepared, model), flips=flips)
    explained = explain(ensemble, prepared, window) if explanation else None
    result = _classified(blank, prepared, ensemble, explained, model)
    return Answer(result, read, regions.image, prepared, explained)


def _classified(
    blank: CaseResult, prepared: PreprocessedCase, ensemble: Ensemble, explained: Explanation | None, model: LoadedModel
) -> CaseResult:
    """The answer in numbers, calibrated where the model has a calibration."""
    averaged, calibration, classes = ensemble.probabilities, model.calibration, model.dataset.classes
    probabilities = averaged if calibration is None else calibration.probabilities(averaged)
    slots = node_slots(model.plan.graph, model.dataset)
    return replace(
        blank,
        status="classified",
        predicted_class=classes[ensemble.target],
        probabilities=tuple(probabilities.tolist()),
        uncalibrated=tuple(averaged.tolist()),
        prediction_set=() if calibration is None else calibration.set_of(averaged),
        set_coverage=None if calibration is None else calibration.coverage,
        uncertainty_std=ensemble.spread,
        std_folds=ensemble.spread_of_folds,
        std_flips=ensemble.spread_of_flips,
        entropy=normalised_entropy(probabilities.tolist()),
        mutual_information=ensemble.mutual_information,
        members=len(ensemble.members),
        regions=region_rows(prepared, slots, ensemble, explained, calibration=calibration, classes=classes),
        warnings=(*blank.warnings, *_warnings(prepared, explained), *([] if calibration else [NOT_CALIBRATED])),
        explained=explained is not None,
        picture=explained is not None,
    )


@dataclass(frozen=True)
class _Check:
    """Why a case is not classified (empty: it is), what to warn of, and the CT's noise."""

    reason: str
    warnings: tuple[str, ...] = ()
    noise_hu: float | None = None


def _check(read: ReadCase, regions: _Regions, model: LoadedModel) -> _Check:
    """Whether there is something to classify that is like what the model was trained on.

    Regions that a person drew are believed, however large; regions that the localiser found are not.
    """
    image, domain, dataset = read.raw.images[0], model.domain, model.dataset
    if model.required_values and not _has_any(regions.image, model.required_values):
        return _Check(regions.reason)
    reason = strange_intensities(image, regions.image, domain, dataset)
    strange = strange_regions(image, regions.image, domain, dataset) if regions.image is not None else []
    if strange and regions.source == "localiser":
        reason = reason or " ".join(strange)
        strange = []
    noise = measured_noise(image) if dataset.base.role == "ct" else None
    warning = strange_noise(noise, domain.noise_hu)
    return _Check(reason, (*strange, warning) if warning else tuple(strange), noise)


def _regions_of(read: ReadCase, model: LoadedModel) -> _Regions:
    """The given region map, else the localiser's or supervoxels, with the sentence for a case without a region."""
    names = [r.name for r in model.dataset.regions if r.value in model.required_values]
    what = " or ".join(names) or "region"
    if read.raw.regions is not None:
        return _Regions(read.raw.regions, "region maps", f"The given region map shows no {what}.")
    parts = supervoxel_values(model.dataset)
    if model.plan.graph.enabled and parts:
        return _Regions(supervoxel_map(read.raw.images[0], parts), "supervoxels")
    if not model.localisers:
        return _Regions(None, "none", f"No region map was given (-r), and the model has no localiser to find {what}.")
    found = find_regions(read.raw.images[0], model)
    reason = f"The model's localiser found no {what} in this image."
    if found.implausible:
        reason = f"The model's localiser found no {what} of a plausible size. {found.implausible}"
    return _Regions(found.regions, "localiser", reason)


def _has_any(regions: sitk.Image | None, values: Sequence[int]) -> bool:
    return regions is not None and bool(np.isin(sitk.GetArrayViewFromImage(regions), values).any())


def _without_coarse(plan: Plan) -> Plan:
    """The plan without the localiser's image, which has done its work by then."""
    return replace(plan, localiser=replace(plan.localiser, enabled=False))


def patch_batch(case: PreprocessedCase, model: LoadedModel) -> Batch:
    """The part of a case that the network sees, on its device."""
    return collate([_cut(case, centre_window(model.plan))], model.plan, model.dataset).to(model.device)


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
