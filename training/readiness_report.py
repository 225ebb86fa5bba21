"""KD-readiness of a run: pooled over the folds whose teachers are trained so far, stored, and said."""

from __future__ import annotations

import logging

from reactkd_auto.jsonio import write_json
from reactkd_auto.training.out_of_fold import held_out_logits
from reactkd_auto.training.readiness import Readiness, assess
from reactkd_auto.training.run import Run

logger = logging.getLogger(__name__)

FILE = "readiness.json"


def tell_readiness(run: Run) -> Readiness:
    """Judge the run's teachers, write ``readiness.json`` beside them and into the model folder, and log the verdict.

    It is reported only: nothing in training depends on it, so that held-out folds stay untouched.
    """
    readiness = assess(held_out_logits(run), list(run.cases.values()), run.dataset.classes, seed=run.seed)
    for folder in (run.all_teachers, run.model.path):
        write_json(folder / FILE, readiness)
    logger.log(logging.INFO if readiness.verdict == "expected" else logging.WARNING, "%s", readiness.sentence)
    return readiness
