"""`train`: the function behind ``reactkd_train``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reactkd_auto.errors import UserError
from reactkd_auto.workspace import open_workspace

if TYPE_CHECKING:
    from reactkd_auto.model_folder import ModelFolder
    from reactkd_auto.training.preset import TeacherMode
    from reactkd_auto.training.run import Run
    from reactkd_auto.training.stop import StopRequest

logger = logging.getLogger(__name__)

FOLDS_TO_LEAVE_TWO_OUT = 5
"""With fewer, cross-fitting was measured to cost more than it gains (documentation/evidence.md: three folds)."""


def train(
    fold: int | Literal["all"],
    *,
    dataset: str | None = None,
    workspace: Path | str | None = None,
    plan: str = "auto",
    preset: str = "auto",
    device: str = "auto",
    seed: int = 0,
    epochs: int | None = None,
    iterations: int | None = None,
    restart: bool = False,
    quiet: bool = False,
    teachers: TeacherMode | None = None,
    num_gpus: int = 1,
    compile: bool = False,
    covariates: bool = False,
    student_channels: Sequence[str] | None = None,
    pretrained: Path | str | None = None,
    lora_rank: int | None = None,
) -> ModelFolder:
    """Train the teachers and the student of a fold, or of all; what is done already is not done again.

    Args:
        fold: 0 … folds − 1, or ``all``.
        dataset: Id or name; None: the only one.
        workspace: Folder; None: ``$REACTKD_WORKSPACE`` or ``./reactkd_workspace``.
        plan: Name of the plan.
        preset: Name of a recipe in ``presets/``.
        device: ``auto``, ``cuda`` or ``cpu``.
        seed: Of everything random.
        epochs: Of the student; teachers are shortened with it, never longer than planned. None: as planned.
        iterations: An epoch; None: as planned.
        restart: Forget what was trained for this fold with this preset, and begin anew.
        quiet: No progress bars.
        teachers: ``in_sample``: the teachers of a fold saw every case that its student learns from; ``cross_fitted``:
            the logits that the student learns come from teachers that never saw the case. That takes a teacher for
            every pair of folds, shared by both folds' students. None: as the preset says, as far as there are folds
            enough.
        num_gpus: Processes, one a GPU, that share every batch; ignored in processes that ``torchrun`` has started.
        compile: Compile the encoders with ``torch.compile``: minutes at the beginning of each stage, faster steps.
        covariates: Show the clinical covariates that ``dataset.json`` names to the student too, not to teachers alone.
        student_channels: Names of the channels that the student sees wherever a case has them; it always sees the base,
            named or not. None: as the preset says.
        pretrained: Folder of `pretrain`, with whose weights encoders begin; None: with random ones.
        lora_rank: Freeze the pretrained convolutions and let them learn updates of this rank (LoRA); None: train them.

    Returns:
        The model folder.

    Raises:
        UserError: Something that the user can mend.
        Interrupted: SIGTERM or SIGINT came; the same call continues.
        GroupEnded: One of several processes ended early; the same call continues.
        RankLost: This is one of several processes, and another one is gone; the same call of all of them continues.
    """
    from reactkd_auto.ranks import Ranks
    from reactkd_auto.training.assignment import END, follow
    from reactkd_auto.training.group import joined, started_in_group
    from reactkd_auto.training.launch import launch
    from reactkd_auto.training.opening import open_run
    from reactkd_auto.training.preset import read_preset

    options: dict[str, Any] = {
        "preset": preset,
        "plan": plan,
        "device": device,
        "epochs": epochs,
        "iterations": iterations,
        "teachers": teachers,
        "student_channels": ",".join(student_channels) if student_channels else None,
        "pretrained": None if pretrained is None else str(pretrained),
        "lora_rank": lora_rank,
        "compile": compile,
        "covariates": covariates,
    }
    chosen = read_preset(preset)
    opening = partial(
        open_run,
        open_workspace(workspace),
        dataset=dataset,
        plan=plan,
        preset=replace(
            chosen,
            student_covariates=chosen.student_covariates or covariates,
            student_channels=tuple(student_channels or chosen.student_channels),
        ),
        teachers=teachers,
        device=device,
        seed=seed,
        epochs=epochs,
        iterations=iterations,
        quiet=quiet,
        compile=compile,
        pretrained=pretrained,
        lora_rank=lora_rank,
    )
    if num_gpus != 1 and not started_in_group():
        if num_gpus < 1:
            raise UserError(f"--num_gpus {num_gpus}: expected at least 1.")
        run = opening(ranks=Ranks(count=num_gpus))  # refuses what the processes would refuse
        _folds(fold, run.plan.folds)
        own = {
            "dataset": dataset,
            "workspace": workspace,
            "seed": seed,
            "quiet": quiet,
            "restart": restart,
        }
        launch(num_gpus, {"fold": fold, **own, **options})
        return run.model
    with joined(device) as ranks:
        opening = partial(opening, ranks=ranks)
        if not ranks.leads:
            return follow(opening, ranks.hear).model
        model = _lead(opening(), fold, restart=restart, options=options)
        ranks.hear(END)
    return model


def _lead(run: Run, fold: int | Literal["all"], *, restart: bool, options: dict[str, Any]) -> ModelFolder:
    from reactkd_auto.training.stop import StopRequest
    from reactkd_auto.training.validation import cross_validate

    folds = _folds(fold, run.plan.folds)
    if run.preset.distil and options["teachers"] is None and run.teachers != run.preset.teacher_mode:
        logger.warning("teachers are %s: %d folds are too few to leave two out.", run.teachers, run.plan.folds)
    elif run.cross_fitted and run.plan.folds < FOLDS_TO_LEAVE_TWO_OUT:
        logger.warning(
            "teachers are cross-fitted: of %d folds those that leave out two have few cases to learn from; where that "
            "was measured, --teachers in_sample made the better student.",
            run.plan.folds,
        )
    with StopRequest() as stop:
        for number in folds:
            _train_fold(run, number, stop, restart=restart, options=options)
        cross_validate(run)
    return run.model


def _folds(fold: int | str, count: int) -> list[int]:
    if fold == "all":
        return list(range(count))
    if not isinstance(fold, int) or not 0 <= fold < count:
        raise UserError(f"fold {fold}: expected 0…{count - 1}, or all.")
    return [fold]


def _train_fold(run: Run, fold: int, stop: StopRequest, *, restart: bool, options: dict[str, Any]) -> None:
    from reactkd_auto.lock import locked
    from reactkd_auto.progress import log_to_file
    from reactkd_auto.training.determinism import deterministic
    from reactkd_auto.training.folders import forget, prepare_model_folder
    from reactkd_auto.training.stages import check_finished, run_stages
    from reactkd_auto.training.validation import validate_fold

    folder = run.model.fold(fold)
    with locked(folder, "validation"):
        if restart:
            forget(run, fold)
        finished = run.model.student_weights(fold).exists()
        if finished:
            check_finished(run, fold)
        else:
            prepare_model_folder(run, fold, options)
        handler = log_to_file(folder / "training.log")
        try:
            with deterministic(run.device):
                if finished:
                    logger.info("fold %d is finished (%s); reactkd_train --restart begins anew.", fold, folder)
                else:
                    run_stages(run, fold, stop)
                validate_fold(run, fold)
        finally:
            logging.getLogger("reactkd_auto").removeHandler(handler)
            handler.close()
