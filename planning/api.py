"""Plans and preprocesses a raw dataset, from Python as from the command line."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from reactkd_auto.covariates import read_covariates, write_covariates
from reactkd_auto.dataset import Dataset, check_safe_name, read_dataset, write_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.execution import Execution
from reactkd_auto.execution.options import EngineName
from reactkd_auto.execution.parts import Part
from reactkd_auto.fingerprint import CaseFingerprint, Fingerprint, write_fingerprint
from reactkd_auto.lock import locked
from reactkd_auto.plan import Plan, Triple, TripleMm, write_plan
from reactkd_auto.planning.cohort import Cohort, summarise
from reactkd_auto.planning.cost import with_cost
from reactkd_auto.planning.dose import pool_noise
from reactkd_auto.planning.hardware import choose_hardware
from reactkd_auto.planning.measuring import measure_cases, read_rows, usable_cases
from reactkd_auto.planning.parts import gather, missing_parts, write_record
from reactkd_auto.planning.plan import Frame, Overrides, make_plan, wanted_folds
from reactkd_auto.planning.preprocess import mention_flags, remove_unused, update_cases
from reactkd_auto.planning.report.page import write_plan_report
from reactkd_auto.planning.rooms import Rooms
from reactkd_auto.planning.rules.training import FOLDS
from reactkd_auto.planning.splits import split
from reactkd_auto.provenance import write_run
from reactkd_auto.splits import Splits, read_splits, write_splits
from reactkd_auto.workspace import open_workspace

DEFAULT_PLAN = "auto"
RESERVED_NAMES = ("plan", "dataset", "fingerprint", "splits", "run")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `plan_and_preprocess` is asked for; see there."""

    dataset: str | None = None
    workspace: Path | str | None = None
    plan: str = DEFAULT_PLAN
    device: Literal["auto", "cuda", "cpu"] = "auto"
    seed: int = 0
    overrides: Overrides = field(default_factory=Overrides)
    execution: Execution = field(default_factory=Execution)


@dataclass(frozen=True)
class Outcome:
    """What was done.

    Attributes:
        plan: The plan.
        folder: Where it and the preprocessed cases lie.
        cases: Rows of the label table.
        failures: By case that could not be used, one sentence.
    """

    plan: Plan
    folder: Path
    cases: int
    failures: Mapping[str, str]


@dataclass(frozen=True)
class PartOutcome:
    """What a part has done.

    Attributes:
        sentence: That, and what comes next.
        cases: Its share.
        failures: By case of its share that could not be used, one sentence.
    """

    sentence: str
    cases: int
    failures: Mapping[str, str]


def plan_and_preprocess(
    *,
    dataset: str | None = None,
    workspace: Path | str | None = None,
    plan: str = DEFAULT_PLAN,
    device: Literal["auto", "cuda", "cpu"] = "auto",
    seed: int = 0,
    spacing: TripleMm | None = None,
    patch_size: Triple | None = None,
    batch_size: int | None = None,
    gpu_memory_gb: float | None = None,
    folds: int = FOLDS,
    engine: EngineName = "local",
    workers: int | None = None,
    quiet: bool = False,
) -> Plan:
    """Measure a raw dataset, plan every stage, assign folds, and preprocess all cases.

    Running it again does only what is missing or out of date. A case that cannot be used is left out with a warning.
    With more than one worker, a script needs the ``if __name__ == "__main__":`` guard.

    Args:
        dataset: Id, name or folder; None: the only one.
        workspace: None: ``$REACTKD_WORKSPACE``, else ``./reactkd_workspace``.
        plan: Name of the plan; plans of other names lie beside ``auto``.
        device: What to plan for; ``auto``: CUDA where there is a GPU or its memory is given.
        seed: Of folds, noise and (through the plan) training.
        spacing: (z, y, x) in mm, instead of the rule's.
        patch_size: (z, y, x) in voxels, multiples of 8, instead of the rule's.
        batch_size: Instead of the rule's.
        gpu_memory_gb: Memory of the GPU to plan for, which need not be present.
        folds: Cross-validation folds; fewer if the rarest class has fewer patients.
        engine: ``local``: processes of this machine; ``ray``: a Ray cluster (`reactkd_auto.execution`).
        workers: Cases at a time; None: as cores and free memory allow.
        quiet: No progress bars.

    Raises:
        UserError: Nothing can be planned: unknown dataset, bad label table, bad option, no usable case.
    """
    overrides = Overrides(spacing, patch_size, batch_size, gpu_memory_gb, None if folds == FOLDS else folds)
    return run(Options(dataset, workspace, plan, device, seed, overrides, Execution(engine, workers, quiet))).plan


def run(options: Options) -> Outcome:
    """`plan_and_preprocess` with all that a report needs.

    Raises:
        UserError: As `plan_and_preprocess`, or another process is planning this dataset.
    """
    rooms, name = _rooms(options)
    hardware = choose_hardware(options.device, options.overrides.gpu_memory_gb)
    with locked(rooms.out, rooms.store.name, rooms.cases.name):
        return _run(options, rooms, Frame(name, options.plan, options.seed, hardware))


def _run(options: Options, rooms: Rooms, frame: Frame) -> Outcome:
    dataset = read_dataset(rooms.raw)
    rows = read_rows(rooms.raw, dataset)
    measured = measure_cases(rows, dataset, raw=rooms.raw, store=rooms.store, execution=options.execution)
    draft = _draft(options, rooms, frame, dataset, measured)
    fingerprint, splits, failures = draft.fingerprint, draft.splits, draft.failures
    plan, cases = with_cost(draft.plan, dataset, rooms.plan_file), list(fingerprint.cases)
    remove_unused(cases, rooms)
    failed = update_cases(cases, plan, dataset, rooms, execution=options.execution)
    if failed:
        failures |= failed
        cases = [c for c in cases if c.case not in failed]
        splits = draft.assign(cases)
        zoomed = tuple(z for z in plan.zoomed_cases if z.case not in failed)
        plan = dataclasses.replace(plan, splits_hash=splits.hash, zoomed_cases=zoomed)
    if not cases:
        raise UserError(f"{rooms.raw}: no case could be preprocessed; the first: {next(iter(failures.values()))}")
    mention_flags(sorted(c.case for c in cases), rooms.cases)
    write_dataset(rooms.out, dataset)
    if dataset.covariates:
        known = read_covariates(rooms.raw / "labelsTr.csv", dataset.covariates)
        write_covariates(rooms.out, {c.case: known[c.case] for c in cases}, dataset.covariates)
    write_fingerprint(rooms.out, fingerprint)
    write_splits(rooms.out, splits)
    write_run(rooms.out, seed=options.seed, plan_hash=plan.hash, options=_recorded(options))
    write_plan(rooms.plan_file, plan)
    write_plan_report(rooms, plan=plan, dataset=dataset, fingerprint=fingerprint, splits=splits, failures=failures)
    return Outcome(plan, rooms.out, len(rows), failures)


def run_part(options: Options, part: Part) -> PartOutcome:
    """Measure a part's share of the cases; preprocess it, too, once all parts have measured theirs.

    Parts may run side by side. The plan is written by `run` alone, which finishes what is missing.

    Raises:
        UserError: As `plan_and_preprocess`, or `run` is at work on this dataset.
    """
    rooms, name = _rooms(options)
    hardware = choose_hardware(options.device, options.overrides.gpu_memory_gb)
    frame = Frame(name, options.plan, options.seed, hardware)
    with locked(rooms.out, shared=True):
        dataset = read_dataset(rooms.raw)
        rows = read_rows(rooms.raw, dataset)
        share = part.share([row.case for row in rows])
        own = [row for row in rows if row.case in share]
        _, failures = measure_cases(own, dataset, raw=rooms.raw, store=rooms.store, execution=options.execution)
        write_record(rooms.store, part, rows, dataset, failures)
        if waiting := missing_parts(rooms.store, part.count, rows, dataset):
            listed = ", ".join(map(str, waiting))
            done = f"{part}: its {len(own)} cases are measured; still to be: parts {listed}. Then run all parts again."
            return PartOutcome(done, len(own), failures)
        draft = _draft(options, rooms, frame, dataset, gather(rooms.store, part.count, rows, dataset))
        cases = [c for c in draft.fingerprint.cases if c.case in share]
        failures |= {case: why for case, why in draft.failures.items() if case in share}
        failures |= update_cases(cases, draft.plan, dataset, rooms, execution=options.execution)
        done = f"{part}: its cases are preprocessed; when all parts are done, run the command without --part_id."
        return PartOutcome(done, len(own), failures)


@dataclass(frozen=True)
class _Draft:
    """What follows from all measurements."""

    fingerprint: Fingerprint
    splits: Splits
    plan: Plan
    failures: dict[str, str]
    assign: Callable[[Sequence[CaseFingerprint]], Splits]


def _draft(
    options: Options,
    rooms: Rooms,
    frame: Frame,
    dataset: Dataset,
    measured: tuple[list[CaseFingerprint], dict[str, str]],
) -> _Draft:
    cases, failures = usable_cases(*measured, dataset, rooms.raw)
    cases = pool_noise(cases, rooms.store, execution=options.execution)
    fingerprint = Fingerprint(frame.dataset, tuple(cases))
    cohort = _usable(summarise(fingerprint, dataset))
    folds, _ = wanted_folds(cohort, options.overrides)
    keep = _existing_splits(rooms.out, folds, options.seed)
    assign = partial(split, classes=len(dataset.classes), folds=folds, seed=options.seed, existing=keep)
    splits = assign(cases)
    plan = make_plan(frame, fingerprint, cohort, splits, options.overrides)
    return _Draft(fingerprint, splits, plan, failures, assign)


def _rooms(options: Options) -> tuple[Rooms, str]:
    try:
        check_safe_name(options.plan, "plan name")
    except ValueError as error:
        raise UserError(f"-p {options.plan}: {error}.") from None
    if options.plan in RESERVED_NAMES:
        raise UserError(f"-p {options.plan}: the name is taken by {options.plan}.json, expected another one.")
    workspace = open_workspace(options.workspace)
    name = workspace.find_dataset(options.dataset)
    out = workspace.preprocessed(name)
    own = options.plan != DEFAULT_PLAN
    return Rooms(
        raw=workspace.raw_dataset(name),
        out=out,
        plan_file=out / (f"{options.plan}.json" if own else "plan.json"),
        cases=out / (f"cases_{options.plan}" if own else "cases"),
    ), name


def _usable(cohort: Cohort) -> Cohort:
    if sum(n > 0 for n in cohort.class_patients) < 2:
        raise UserError(
            f"labelsTr.csv: {cohort.graded_cases} usable graded cases of "
            f"{sum(n > 0 for n in cohort.class_patients)} classes, expected cases of at least two classes."
        )
    return cohort


def _existing_splits(out: Path, folds: int, seed: int) -> Splits | None:
    """The folds that must be kept, or None where there are none of this number and seed."""
    if not (out / "splits.json").is_file():
        return None
    try:
        existing = read_splits(out)
    except UserError as error:
        logger.warning("%s New folds are assigned.", error)
        return None
    if (existing.folds, existing.seed) == (folds, seed):
        return existing
    before = f"{existing.folds} folds with seed {existing.seed}"
    logger.warning("Folds are assigned anew: %d folds with seed %d instead of %s.", folds, seed, before)
    return None


def _recorded(options: Options) -> dict[str, object]:
    chosen = {k: v for k, v in vars(options.overrides).items() if v is not None}
    return {"dataset": options.dataset, "plan": options.plan, "device": options.device, **chosen}
