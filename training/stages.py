"""The training stages of a fold, in the plan's fixed order."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from reactkd_auto.jsonio import atomic_path, content_hash, file_hash, read_json, to_plain, write_json
from reactkd_auto.lock import locked
from reactkd_auto.networks import describe, save_weights
from reactkd_auto.plan import STAGES
from reactkd_auto.training import automatic_regions, localiser_stage, student_stage, teachers_stage
from reactkd_auto.training.assignment import Assignment, carry_out, name_of, student_assignment, teachers_assignment
from reactkd_auto.training.automatic_regions_stage import draw_automatic_regions
from reactkd_auto.training.checkpoint import check_settings
from reactkd_auto.training.lora import merged
from reactkd_auto.training.readiness_report import tell_readiness
from reactkd_auto.training.run import Run
from reactkd_auto.training.stop import StopRequest

logger = logging.getLogger(__name__)

LEARNT_FROM = ("localiser", "teachers")
"""Settings of a student that are digests of other trainings."""


def run_stages(run: Run, fold: int, stop: StopRequest) -> None:
    """All stages of one fold; what is finished already is left alone."""
    if run.pretrained:
        run.pretrained.tell_seen(run.preprocessed.name, fold, [c.case for c in run.held_out_cases(fold)])
    for stage in STAGES:
        if stage in RUNNERS:
            RUNNERS[stage](run, fold, stop)
            stop.check(f"after stage {stage} of fold {fold}")


def train_teachers(run: Run, fold: int, stop: StopRequest) -> None:
    """Localiser, its maps and, where the preset distils, dual teachers of a fold; cross-fitted: of its pairs too."""
    if run.plan.localiser.enabled:
        with locked(run.localiser_folder(fold), "localiser", automatic_regions.FOLDER):
            _train_localiser(run, fold, stop)
            draw_automatic_regions(run, fold, stop)
    if not run.preset.distil:
        return
    for without in run.teacher_sets(fold):
        with locked(run.teachers_folder(*without)):
            _train_teachers(run, without, stop)
    tell_readiness(run)


def train_student(run: Run, fold: int, stop: StopRequest) -> None:
    """The student of a fold; its weights are written last, so that they mean a finished fold."""
    folder = run.model.fold(fold)
    begin(folder, run.settings("student") | _learnt_from(run, fold))
    assignment = student_assignment(run, (fold,))
    tell_size(folder, "student", merged(assignment.task.module.get_submodule("student")), run)
    average = carry_out(run, assignment, stop)
    assert isinstance(average, student_stage.Pupil)
    localiser = run.localiser_folder(fold) / localiser_stage.WEIGHTS
    if run.plan.localiser.enabled and localiser.exists():
        with atomic_path(run.model.localiser_weights(fold)) as temporary:
            shutil.copyfile(localiser, temporary)
    save_weights(run.model.student_weights(fold), merged(average.student))


def check_finished(run: Run, fold: int) -> None:
    """Refuse a finished fold that was trained with other settings than the run's, so that nobody takes it for theirs.

    What it learnt from may be gone by now, or trained anew; that changes nothing about it.

    Raises:
        UserError: Naming the first difference.
    """
    folder = run.model.fold(fold)
    found = read_json(folder / "settings.json")
    check_settings(folder, {k: v for k, v in found.items() if k not in LEARNT_FROM}, _plain(run.settings("student")))


def _learnt_from(run: Run, fold: int) -> dict[str, str]:
    """Digests of the localiser and the teachers of a fold's student, which a restart of another preset trains anew."""
    localiser = run.localiser_folder(fold) / localiser_stage.WEIGHTS
    found = {"localiser": file_hash(localiser)} if run.plan.localiser.enabled and localiser.exists() else {}
    if run.preset.distil:
        weights = (run.teachers_folder(*without) / teachers_stage.WEIGHTS for without in run.teacher_sets(fold))
        found["teachers"] = content_hash([file_hash(path) for path in weights])
    return found


RUNNERS: dict[str, Callable[[Run, int, StopRequest], None]] = {
    "dual_teacher_training": train_teachers,
    "region_graph_distillation": train_student,
}
"""The plan's stages that belong to training."""


def _train_teachers(run: Run, without: tuple[int, ...], stop: StopRequest) -> None:
    folder, name = run.teachers_folder(*without), name_of(without)
    begin(folder, run.settings("teachers", len(without)))
    if (folder / teachers_stage.WEIGHTS).exists():
        logger.info("%s: its teachers are trained already (%s).", name, folder)
        return
    if not run.plan.structure_function_teacher:
        logger.info("%s: no privileged channel, the structure-function teacher is off.", name)
    if not run.plan.dose.enabled:
        logger.info("%s: dose degradation is off, the CT teacher sees full dose only.", name)
    assignment = teachers_assignment(run, without)
    tell_size(folder, "teachers", merged(assignment.task.module), run)
    save_weights(folder / teachers_stage.WEIGHTS, merged(carry_out(run, assignment, stop)))


def _train_localiser(run: Run, fold: int, stop: StopRequest) -> None:
    weights, folder = run.localiser_folder(fold) / localiser_stage.WEIGHTS, run.localiser_folder(fold) / "localiser"
    schedule = localiser_stage.localiser_schedule(run.schedule("segmentation"))
    settings = {"plan": run.plan.hash, "seed": run.seed, "epochs": schedule.epochs, "iterations": schedule.iterations}
    if weights.exists():  # of whatever length: it finds regions, it does not compete
        check_settings(folder, read_json(folder / "settings.json"), settings, only=("plan", "seed"))
        return
    if (folder / "settings.json").exists() and read_json(folder / "settings.json") != settings:
        shutil.rmtree(folder)
    begin(folder, settings)
    cases = localiser_stage.with_regions(run.case_folder, run.dataset, run.training_cases(fold))
    if not cases:
        logger.warning("fold %d: no training case has a coarse region map, so there is no localiser.", fold)
        return
    task = localiser_stage.new_task(run, run.held_out_cases(fold))
    tell_size(folder, "localiser", task.module, run)
    feed = localiser_stage.localiser_feed(run.case_folder, cases, run.plan, run.dataset)
    save_weights(weights, carry_out(run, Assignment("localiser", (fold,), task, feed, schedule, folder), stop))


def begin(folder: Path, settings: dict[str, Any]) -> None:
    """Note what a folder's training was begun with, or refuse to mix it with something else.

    Raises:
        UserError: The folder holds a training with other settings.
    """
    path = folder / "settings.json"
    if path.exists():
        check_settings(folder, read_json(path), _plain(settings))
    else:
        write_json(path, settings)


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """As they are read back."""
    read: dict[str, Any] = json.loads(json.dumps(to_plain(settings)))
    return read


def tell_size(folder: Path, name: str, network: nn.Module, run: Run) -> None:
    """Log parameters and FLOPs of a network and store them in the folder's ``networks.json``, counted once."""
    path = folder / "networks.json"
    sizes = read_json(path) if path.exists() else {}
    if name not in sizes:
        sizes[name] = describe(network, run.plan, run.dataset)
        write_json(path, sizes)
    size = sizes[name]
    logger.info(
        "%s: %.2f million parameters, %.2f GFLOP a sample.", name, size["parameters"] / 1e6, size["flops"] / 1e9
    )
