"""Both encoders, one after the other, and the document that says what they are."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from reactkd_auto.cases import CaseProperties
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import content_hash, write_json
from reactkd_auto.networks import save_weights
from reactkd_auto.provenance import describe_run
from reactkd_auto.training.assignment import Assignment, StageName, carry_out
from reactkd_auto.training.determinism import deterministic
from reactkd_auto.training.loader import case_feed
from reactkd_auto.training.pretrain_stage import new_task, region_classes
from reactkd_auto.training.pretrained import FILE, ROLES, Pretrained, Role, digest, encoder_shape, weights_file
from reactkd_auto.training.run import Run
from reactkd_auto.training.stages import begin
from reactkd_auto.training.stop import StopRequest

logger = logging.getLogger(__name__)


def pretrain_encoders(run: Run, folder: Path, stop: StopRequest, options: dict[str, Any]) -> None:
    """Fill a folder, as far as that is not done.

    Args:
        run: For plan, cases and sizes.
        folder: To fill.
        stop: Heeded after each iteration.
        options: To be recorded; ``ungraded_only`` says which cases to learn from.

    Raises:
        UserError: No case has regions, or the folder was begun with other settings.
        Interrupted: A signal came.
    """
    cases, schedule = _cases(run, ungraded_only=options["ungraded_only"]), run.schedule("segmentation")
    with deterministic(run.device):
        for role in ROLES:
            _pretrain_encoder(run, role, cases, folder, stop)
            stop.check(f"after the {role}'s encoder")
    if (folder / FILE).exists():
        logger.info("encoders are pretrained already (%s); --restart begins anew.", folder)
        return
    document = Pretrained(
        dataset=run.preprocessed.name,
        shape=encoder_shape(run.plan, run.dataset),
        spacing_mm=run.plan.spacing_mm,
        classes=region_classes(run.plan, run.dataset),
        cases=tuple(c.case for c in cases),
        seed=run.seed,
        epochs=schedule.epochs,
        iterations=schedule.iterations,
        sha256={role: digest(weights_file(folder, role)) for role in ROLES},
        provenance=describe_run(seed=run.seed, plan_hash=run.plan.hash, options=options),
    )
    write_json(folder / FILE, document)


def _pretrain_encoder(run: Run, role: Role, cases: list[CaseProperties], folder: Path, stop: StopRequest) -> None:
    """One encoder; its weights are written last, so that they mean a finished one."""
    schedule = run.schedule("segmentation")
    settings = {
        "plan": run.plan.hash,
        "seed": run.seed,
        "epochs": schedule.epochs,
        "iterations per epoch": schedule.iterations,
        "cases": content_hash([c.case for c in cases]),
    }
    begin(folder / role, settings)
    if weights_file(folder, role).exists():
        return
    stage: StageName = "teacher_encoder" if role == "teacher" else "student_encoder"
    task = new_task(run, run.plan.network.teacher if role == "teacher" else run.plan.network.student)
    feed = case_feed(run.case_folder, cases, run.plan, run.dataset, balanced=False)
    average = carry_out(run, Assignment(stage, (), task, feed, schedule, folder / role), stop)
    save_weights(weights_file(folder, role), average.get_submodule("branch.encoder"))


def _cases(run: Run, *, ungraded_only: bool) -> list[CaseProperties]:
    """Cases with regions, in order.

    Raises:
        UserError: There are none.
    """
    chosen = [c for name, c in run.cases.items() if not ungraded_only or run.splits.assignment[name] < 0]
    found = [c for c in chosen if any(c.node_valid)]
    if not found:
        kind = "patients without a grade" if ungraded_only else "cases"
        raise UserError(
            f"{run.case_folder}: found no region map of {len(chosen)} {kind}, expected some to learn to segment; "
            "add regionsTr, or make region maps with reactkd_make_regions, and plan again."
        )
    if len(found) < len(chosen):
        logger.info("%d of %d cases have no regions and are left out.", len(chosen) - len(found), len(chosen))
    return found
