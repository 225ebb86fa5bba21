"""What a student of a synthetic cohort could be taught at best: labels alone, with the true ones of ungraded cases.

    python documentation/scripts/train_on_true_labels.py reactkd_workspace 900 30 8

Workspace (of a planned synthetic cohort of 180 ungraded cases), seed of the cohort, epochs, iterations an epoch. Trains
the `baseline` student of fold 0; predict with ``-m reactkd_workspace/results/…/baseline_seed0``.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from reactkd_auto.dataset_conversion.demo import make_params
from reactkd_auto.training.folders import prepare_model_folder
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.stages import train_student, train_teachers
from reactkd_auto.training.stop import StopRequest
from reactkd_auto.workspace import open_workspace

UNGRADED = 180


def main(workspace: Path, cohort_seed: int, epochs: int, iterations: int) -> None:
    """Train with the labels that only the generator knows."""
    run = open_run(
        open_workspace(workspace),
        preset=read_preset("baseline"),
        device="cpu",
        epochs=epochs,
        iterations=iterations,
    )
    hidden = make_params(UNGRADED, seed=cohort_seed, prefix="ungraded", graded=False)
    known = {p.case: replace(run.cases[p.case], label=p.true_class) for p in hidden}
    run = replace(run, cases=run.cases | known)
    prepare_model_folder(run, 0, {"cohort_seed": cohort_seed})
    with StopRequest() as stop:
        train_teachers(run, 0, stop)
        train_student(run, 0, stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(text) for text in sys.argv[2:]))
