"""One case in three steps that may overlap with those of others: reading, answering, writing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from reactkd_auto.execution import CaseFailure, attempt
from reactkd_auto.imageio.sources import without_folders
from reactkd_auto.inference.answer import Answer, answer_case
from reactkd_auto.inference.inputs import InputCase, hash_files
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.inference.reading import ReadCase, read_case
from reactkd_auto.inference.results import CaseResult, finished_result, write_result
from reactkd_auto.inference.showing import show_case
from reactkd_auto.jsonio import content_hash

PREDICTION_VERSION = 3
"""Raised when prediction changes its results, so that finished cases are predicted again."""

logger = logging.getLogger(__name__)

Given = TypeVar("Given")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Wanted:
    """What is asked about every case.

    Attributes:
        explanation: Whether to explain and draw.
        flips: Whether to average mirror images.
        dicom: Whether to write DICOM objects of cases that came as DICOM.
    """

    explanation: bool = True
    flips: bool = True
    dicom: bool = False


@dataclass(frozen=True)
class Question:
    """A case in memory, and the identity of what is asked about it."""

    key: str
    read: ReadCase


class CaseSteps:
    """The steps of every case of a run; each takes what the step before it returned.

    A fault of a case, its files' or ours, is its result ("failed") and goes no further. A finished answer passes
    through.

    Args:
        model: The model.
        output: Folder of the run.
        wanted: What is asked.
    """

    def __init__(self, model: LoadedModel, output: Path, wanted: Wanted) -> None:
        self.model, self.output, self.wanted = model, output, wanted

    def read(self, case: InputCase) -> Question | CaseResult | CaseFailure:
        """Hash and read a case's files, or find the answer of an earlier run to the same question."""
        return _guarded(case, self._read, case)

    def answer(
        self, case: InputCase, question: Question | CaseResult | CaseFailure
    ) -> Answer | CaseResult | CaseFailure:
        """Ask the model."""
        return _guarded(case, self._answer, question) if isinstance(question, Question) else question

    def write(self, case: InputCase, answer: Answer | CaseResult | CaseFailure) -> CaseResult:
        """Write what there is to look at, DICOM objects and, last, the answer.

        Raises:
            UserError: Not even the answer can be written.
        """
        if isinstance(answer, CaseResult):
            logger.info("%s: finished before, kept.", case.case)
            return answer
        written = _guarded(case, partial(self._write, case), answer) if isinstance(answer, Answer) else answer
        failed = isinstance(written, CaseFailure)
        result = CaseResult("", case.case, "failed", reason=written.sentence) if failed else written  # type: ignore[union-attr]
        assert isinstance(result, CaseResult)
        result = replace(
            result,
            reason=_without_folders(result.reason, case),
            warnings=tuple(_without_folders(w, case) for w in result.warnings),
        )
        logger.info("%s: %s", case.case, _sentence(result))
        write_result(self.output, result)
        return result

    def __call__(self, case: InputCase) -> CaseResult:
        """All three steps, one after the other."""
        return self.write(case, self.answer(case, self.read(case)))

    def _read(self, case: InputCase) -> Question | CaseResult:
        known = [self.model.covariates[case.case]] if case.case in self.model.covariates else []
        key = content_hash([PREDICTION_VERSION, self.model.hash, hash_files(case), vars(self.wanted), *known])
        finished = finished_result(self.output, case.case, key)
        return finished if finished is not None else Question(key, read_case(case, self.model.dataset))

    def _answer(self, question: Question) -> Answer:
        wanted = self.wanted
        return answer_case(
            question.read, self.model, key=question.key, explanation=wanted.explanation, flips=wanted.flips
        )

    def _write(self, case: InputCase, answer: Answer) -> CaseResult:
        images = show_case(self.output, answer, self.model)
        if not (self.wanted.dicom and case.channels[0].dicom):
            return answer.result
        from reactkd_auto.inference.dicom_out import write_dicom

        files, explanation = case.channels[0].files, images.get("explanation")
        notes = write_dicom(self.output / "dicom", files, answer, explanation, self.model)
        return replace(answer.result, warnings=(*answer.result.warnings, *notes))


def _guarded(case: InputCase, step: Callable[[Given], Done], given: Given) -> Done | CaseFailure:
    done: Any = attempt(step, given)
    if isinstance(done, CaseFailure) and done.traceback:
        logger.error("%s: %s\n%s", case.case, done.sentence, done.traceback)
    return done  # type: ignore[no-any-return]


def _without_folders(sentence: str, case: InputCase) -> str:
    files = [path for source in case.channels.values() for path in source.files]
    return without_folders(sentence, files if case.regions is None else [*files, case.regions], case.case)


def _sentence(result: CaseResult) -> str:
    if result.status != "classified" or result.probabilities is None:
        return f"{result.status}: {result.reason}"
    spread = f" ± {result.uncertainty_std:.2f}" if result.uncertainty_std is not None else ""
    return f"{result.predicted_class}, p = {max(result.probabilities):.2f}{spread}"
