"""The model folder's documents, and forgetting what was trained."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from reactkd_auto.dataset import write_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import atomic_path
from reactkd_auto.lock import locked
from reactkd_auto.model_folder import ModelConfig
from reactkd_auto.plan import read_plan
from reactkd_auto.provenance import write_run
from reactkd_auto.training.automatic_regions import FOLDER as AUTOMATIC_REGIONS
from reactkd_auto.training.localiser_stage import WEIGHTS as LOCALISER
from reactkd_auto.training.opening import find_plan
from reactkd_auto.training.run import Run


def prepare_model_folder(run: Run, fold: int, options: dict[str, Any]) -> None:
    """Copy plan, dataset and fingerprint beside the weights, so that prediction needs nothing else.

    Raises:
        UserError: The folder holds folds that were trained by another plan.
    """
    model, path = run.model, run.model.path / "plan.json"
    if path.exists() and read_plan(path).hash != run.plan.hash:
        others = [f for f in model.finished_folds() if f != fold]
        if others or (model.fold(fold) / "settings.json").exists():
            raise UserError(
                f"{model.path}: fold {(others or [fold])[0]} was trained by another plan, expected this one "
                f"({run.plan.hash}); remove the folder, or use reactkd_train --restart where this is its only fold."
            )
    source = run.preprocessed
    _copy(source / "fingerprint.json", model.path / "fingerprint.json")
    _copy(find_plan(source, run.plan.name), path)
    write_dataset(model.path, run.dataset)
    model.write_config(
        ModelConfig(run.preset.name, run.preset.channels(run.dataset), run.seed, run.preset.student_covariates)
    )
    described = {**options, "fold": fold, "processes": run.ranks.count}
    for folder in (model.path, model.fold(fold)):
        write_run(folder, seed=run.seed, plan_hash=run.plan.hash, options=described)


def forget(run: Run, fold: int) -> None:
    """Remove what was trained for this fold with this preset (a lock file stays)."""
    empty_folder(run.model.fold(fold))
    localiser = run.localiser_folder(fold)
    with locked(localiser):
        for trained in ("localiser", AUTOMATIC_REGIONS):
            empty_folder(localiser / trained)
        (localiser / LOCALISER).unlink(missing_ok=True)
    for without in run.teacher_sets(fold) if run.preset.distil else ():
        with locked(run.teachers_folder(*without)):
            empty_folder(run.teachers_folder(*without))


def empty_folder(folder: Path) -> None:
    """Remove all that a folder holds but its lock."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != ".lock":
            entry.unlink()


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
