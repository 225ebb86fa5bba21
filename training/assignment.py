"""What a stage of a fold trains, on what, and where to: the same in every process that takes part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import nn

from reactkd_auto.cases import CaseProperties
from reactkd_auto.jsonio import read_json
from reactkd_auto.networks import compile_branches
from reactkd_auto.ranks import ALONE
from reactkd_auto.training import student_stage, teachers_stage
from reactkd_auto.training.automatic_regions import AutomaticRegions
from reactkd_auto.training.automatic_regions_stage import automatic_regions
from reactkd_auto.training.determinism import deterministic
from reactkd_auto.training.loader import Feed, case_feed, split, stream
from reactkd_auto.training.loop import Job, Task, train_stage
from reactkd_auto.training.run import Run
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.training.seeding import stage_number
from reactkd_auto.training.stop import StopRequest
from reactkd_auto.training.tutors import load_tutors
from reactkd_auto.training.watch import watch_every, watched_cases

StageName = Literal["teachers", "student", "localiser", "teacher_encoder", "student_encoder"]
Order = tuple[StageName, tuple[int, ...]]
"""A stage and the folds that it leaves out: what the leading process tells the others to train with it."""
END = "end"


@dataclass(frozen=True)
class Assignment:
    """One training.

    Attributes:
        stage, without: What is trained, and the folds that it must not see.
        task, feed, schedule: See `loop.Job`.
        folder: Of its state; `stages.begin` has noted its settings there.
    """

    stage: StageName
    without: tuple[int, ...]
    task: Task[Any, Any]
    feed: Feed
    schedule: Schedule
    folder: Path


def teachers_assignment(run: Run, without: tuple[int, ...]) -> Assignment:
    """Teachers that leave out these folds learn from graded cases."""
    task = teachers_stage.new_task(run, without, watched_cases(run.held_out_cases(*without)))
    graded = [c for c in run.training_cases(*without) if c.label is not None]
    schedule, folder = run.schedule("teachers", len(without)), run.teachers_folder(*without)
    return Assignment("teachers", without, task, _feed(run, graded), schedule, folder)


def student_assignment(run: Run, without: tuple[int, ...]) -> Assignment:
    """The student of one fold learns from ungraded cases too, where it has teachers, and from its localiser's maps."""
    (fold,) = without
    tutors = load_tutors(run, fold) if run.preset.distil else None
    task = student_stage.new_task(run, fold, tutors, watched_cases(run.held_out_cases(fold)))
    cases = [c for c in run.training_cases(fold) if run.preset.distil or c.label is not None]
    feed = _feed(run, cases, automatic_regions(run, fold))
    return Assignment("student", without, task, feed, run.schedule("student"), run.model.fold(fold))


SHARED: dict[StageName, Callable[[Run, tuple[int, ...]], Assignment]] = {
    "teachers": teachers_assignment,
    "student": student_assignment,
}
"""What several processes train together. The rest the leading one trains alone."""


def carry_out(run: Run, assignment: Assignment, stop: StopRequest) -> nn.Module:
    """Train to the end, with the others where they share it; returns the module with its EMA weights."""
    a, ranks = assignment, run.ranks if assignment.stage in SHARED else ALONE
    if run.compile:
        compile_branches(a.task.module)
    number, parts = stage_number(a.stage, a.without), 1 if a.stage == "localiser" else run.parts
    if ranks.leads:
        ranks.hear((a.stage, a.without))
    job = Job(
        task=a.task,
        schedule=a.schedule,
        batches=lambda first: stream(
            a.feed, a.schedule, seed=run.seed, stage=number, first=first, device=run.device, ranks=ranks
        ),
        split=partial(split, parts=parts),
        folder=a.folder,
        title=f"{name_of(a.without)}, {a.stage}" + (f" ({run.preset.name})" if a.stage == "student" else ""),
        seed=run.seed,
        stage=number,
        settings=read_json(a.folder / "settings.json"),
        device=run.device,
        ranks=ranks,
        watch_every=watch_every(a.schedule.epochs),
        quiet=run.quiet,
    )
    return train_stage(job, stop)


def follow(open_run: Callable[[], Run], hear: Callable[[], Order | str]) -> Run:
    """Take part in whatever the leading process trains, until it has finished.

    The run is opened at the first order: the leading process has read the same documents by then, so their errors are
    told once, by it.

    Raises:
        RankLost: The leading process is gone.
    """
    order, run = hear(), None
    with StopRequest() as stop:
        while not isinstance(order, str):
            run = run or open_run()
            with deterministic(run.device):
                carry_out(run, SHARED[order[0]](run, order[1]), stop)
            order = hear()
    return run or open_run()


def name_of(without: tuple[int, ...]) -> str:
    """A set of folds, for messages."""
    if not without:
        return "pretraining"
    return f"fold{'s' * (len(without) > 1)} {' and '.join(map(str, without))}"


def _feed(run: Run, cases: list[CaseProperties], automatic: Mapping[str, AutomaticRegions] | None = None) -> Feed:
    balanced = run.plan.class_balance == "balanced_sampling"
    return case_feed(run.case_folder, cases, run.plan, run.dataset, balanced=balanced, automatic=automatic)
