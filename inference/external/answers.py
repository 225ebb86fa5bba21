"""The answers to one case under several conditions: it is read once, and finished answers are kept."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from reactkd_auto.dose import DoseCalibration, calibrate, degrade
from reactkd_auto.errors import UserError
from reactkd_auto.imageio.sources import without_folders
from reactkd_auto.inference.answer import answer_case
from reactkd_auto.inference.case_prediction import PREDICTION_VERSION
from reactkd_auto.inference.external.conditions import Condition
from reactkd_auto.inference.inputs import InputCase, hash_files
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.inference.reading import ReadCase, read_case
from reactkd_auto.inference.results import CaseResult, finished_result, write_result
from reactkd_auto.jsonio import content_hash

logger = logging.getLogger(__name__)

SWEEP_VERSION = 1
"""Raised when a condition changes what it does to a case, so that finished cases are predicted again."""


def answer_conditions(
    case: InputCase, conditions: Sequence[Condition], model: LoadedModel, output: Path, *, seed: int
) -> dict[str, CaseResult]:
    """Predict a case under each condition that fits it, without explanation.

    Args:
        case: Its files.
        conditions: All of the run.
        model: The model.
        output: Folder of the run; each condition has a folder in it.
        seed: Of the noise of lower doses, together with the case's name.

    Returns:
        One answer for each condition that fits, by its folder. A case that cannot be read has status ``failed``.
    """
    fitting = [c for c in conditions if c.fits(case)]
    try:
        files = hash_files(case)
        keys = {c.folder: _key(c, files, model, seed) for c in fitting}
        answers = {c.folder: finished_result(output / c.folder, case.case, keys[c.folder]) for c in fitting}
        missing = [c for c in fitting if answers[c.folder] is None]
        if missing:
            variants = _Variants(read_case(case, model.dataset), model, seed)
        for condition in missing:
            read = variants.under(condition)
            answer = answer_case(read, model, key=keys[condition.folder], explanation=False, flips=True)
            answers[condition.folder] = answer.result
            write_result(output / condition.folder, answer.result)
        return {folder: result for folder, result in answers.items() if result is not None}
    except UserError as error:
        paths = [path for source in case.channels.values() for path in source.files]
        paths += [] if case.regions is None else [case.regions]
        reason = without_folders(str(error), paths, case.case)
        logger.info("%s: failed: %s", case.case, reason)
        return {c.folder: CaseResult("", case.case, "failed", reason=reason) for c in fitting}


def _key(condition: Condition, files: str, model: LoadedModel, seed: int) -> str:
    changed = condition.dose, condition.channels, condition.drawn
    return content_hash([PREDICTION_VERSION, SWEEP_VERSION, model.hash, files, changed, condition.dose < 1 and seed])


class _Variants:
    """One case, as each condition shows it."""

    def __init__(self, read: ReadCase, model: LoadedModel, seed: int) -> None:
        self._read, self._model, self._seed = read, model, seed
        self._calibration: DoseCalibration | None = None

    def under(self, condition: Condition) -> ReadCase:
        """The case under a condition; what doesn't change is shared."""
        raw, dataset = self._read.raw, self._model.dataset
        images = dict(raw.images)
        if condition.channels is not None:
            kept = {dataset.channel_index(name) for name in condition.channels}
            images = {index: image for index, image in images.items() if index in kept}
        if condition.dose < 1:
            images[0] = self._degraded(condition.dose)
        regions = raw.regions if condition.drawn else None
        return replace(self._read, raw=replace(raw, images=images, regions=regions))

    def _degraded(self, dose: float) -> sitk.Image:
        """The CT at a lower dose. One dose at a time, so that its noise does not depend on which others are asked."""
        raw = self._read.raw
        if self._calibration is None:
            self._calibration = calibrate(raw.images[0])
        (image,) = degrade(
            raw.images[0], [dose], self._calibration, self._seed, case=raw.case, device=self._model.device
        )
        return image
