"""What teachers say of cases that they never saw: ``out_of_fold.json`` beside their weights.

A teacher that left out folds {f} or {f, g} has an out-of-fold answer for each of their cases. Two readers:

* `held_out_logits` pools them over all cases, to *report* how good teachers are (KD-readiness, cross-validation).
* `training_logits` keeps a student's own fold out of it, to *decide* something about that student's training (teacher
  weights, switching a teacher off): a decision that looked at fold f would make its evaluation on fold f optimistic.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import content_hash, file_hash, read_document, read_json, to_plain, write_json
from reactkd_auto.lock import locked
from reactkd_auto.training.run import Run
from reactkd_auto.training.teachers_stage import WEIGHTS, Logits, load_teachers, teacher_logits

logger = logging.getLogger(__name__)

FILE = "out_of_fold.json"
VERSION = 1
"""Raised when the logits change their meaning, so that stored ones are made again."""


@dataclass(frozen=True)
class OutOfFold:
    """Logits of one set of teachers on the cases of the folds that it left out, graded or not.

    Attributes:
        without: Folds left out, rising.
        key: Of the weights and the cases; the document is made again when it changes.
        logits: By head (``fused``; with a structure-function teacher ``structure`` and ``dose``, the CT alone), by
            case, one logit a class.
    """

    without: tuple[int, ...]
    key: str
    logits: dict[str, dict[str, list[float]]]
    schema_version: int = 1


def out_of_fold(run: Run, *without: int) -> OutOfFold:
    """The document of finished teachers; read where it is up to date, else made and written.

    Not to be called while this process holds the lock of the teachers' folder.

    Raises:
        UserError: Weights or a case cannot be read.
    """
    folder, cases = run.teachers_folder(*without), run.held_out_cases(*without)
    key = content_hash([VERSION, file_hash(folder / WEIGHTS), cases])
    known = _read(folder / FILE)
    if known is not None and known.key == key:
        return known
    logits = teacher_logits(
        load_teachers(run, *without),
        cases,
        plan=run.plan,
        dataset=run.dataset,
        folder=run.case_folder,
        device=run.device,
    )
    document = OutOfFold(tuple(without), key, logits)
    _store(folder, document)
    return document


def held_out_logits(run: Run) -> Logits:
    """Every case that finished teachers left out, each answered by those that left out least.

    That is the teacher that left out the case's fold alone, else the first of the pairs, so that all heads of a case
    come from the same teachers.
    """
    pooled: Logits = {}
    answered: set[str] = set()
    for without in finished_sets(run):
        if answered.issuperset(c.case for c in run.held_out_cases(*without)):
            continue
        document = out_of_fold(run, *without)
        for head, rows in document.logits.items():
            pooled.setdefault(head, {}).update({c: row for c, row in rows.items() if c not in answered})
        answered.update(*document.logits.values())
    return pooled


def training_logits(run: Run, fold: int) -> Logits:
    """The training cases of a fold's student, each answered by teachers that saw neither it nor the student's fold.

    Empty without cross-fitting: the one teacher of an in-sample student saw all of its training cases.
    """
    pooled: Logits = {}
    for without in run.teacher_sets(fold)[1:]:
        own = {c.case for c in run.held_out_cases(fold)}
        for head, rows in out_of_fold(run, *without).logits.items():
            pooled.setdefault(head, {}).update({c: row for c, row in rows.items() if c not in own})
    return pooled


def finished_sets(run: Run) -> list[tuple[int, ...]]:
    """Folds left out by teachers that are trained to the end with this run's settings, single folds first."""
    folds = range(run.plan.folds)
    candidates: Sequence[tuple[int, ...]] = [*((f,) for f in folds), *combinations(folds, 2)]
    return [w for w in candidates if _finished(run.teachers_folder(*w), to_plain(run.settings("teachers", len(w))))]


def _finished(folder: Path, settings: object) -> bool:
    begun = folder / "settings.json"
    return (folder / WEIGHTS).exists() and begun.exists() and read_json(begun) == settings


def _read(path: Path) -> OutOfFold | None:
    if not path.exists():
        return None
    try:
        return read_document(OutOfFold, path)
    except UserError as error:
        logger.info("%s It is made again.", error)
        return None


def _store(folder: Path, document: OutOfFold) -> None:
    """Keep the document for the next reader; where it cannot be kept, it is made again."""
    try:
        with locked(folder):
            write_json(folder / FILE, document)
    except UserError as error:
        logger.warning("%s Its out-of-fold predictions are not stored.", error)
