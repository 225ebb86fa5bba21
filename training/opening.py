"""Opening a training: its plan, folds and cases are found and read, and its options checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reactkd_auto.cases import CaseProperties, finished_cases, read_properties
from reactkd_auto.covariates import stored_covariates
from reactkd_auto.dataset import read_dataset
from reactkd_auto.device import choose_device
from reactkd_auto.errors import UserError
from reactkd_auto.model_folder import model_name
from reactkd_auto.plan import read_plan
from reactkd_auto.ranks import ALONE, Ranks
from reactkd_auto.splits import Splits, read_splits
from reactkd_auto.training.covariates import with_covariates
from reactkd_auto.training.preset import Preset, TeacherMode
from reactkd_auto.training.pretrained_start import open_pretrained
from reactkd_auto.training.run import Run, cases_folder, losses_of
from reactkd_auto.training.structure_alone import check_structure_alone
from reactkd_auto.training.variants import variant
from reactkd_auto.workspace import Workspace

FEWEST_FOLDS_TO_CROSS_FIT = 3


def open_run(
    workspace: Workspace,
    *,
    preset: Preset,
    dataset: str | None = None,
    plan: str = "auto",
    teachers: TeacherMode | None = None,
    device: str = "auto",
    seed: int = 0,
    epochs: int | None = None,
    iterations: int | None = None,
    quiet: bool = False,
    ranks: Ranks = ALONE,
    compile: bool = False,
    pretrained: Path | str | None = None,
    lora_rank: int | None = None,
) -> Run:
    """Find and read everything that training needs.

    Raises:
        UserError: Dataset not planned yet, cases missing, folds not those of the plan, an option out of range, a preset
            whose conditions the plan does not meet, a batch that the ranks cannot share evenly, pretrained encoders of
            another shape.
    """
    check_length(epochs, iterations)
    if lora_rank is not None and lora_rank < 1:
        raise UserError(f"--lora_rank {lora_rank}: expected at least 1.")
    if lora_rank and not pretrained:
        raise UserError(f"--lora_rank {lora_rank}: found no --pretrained, expected encoders that it can update.")
    if seed < 0:
        raise UserError(f"--seed {seed}: expected 0 or more.")
    folder = workspace.find_dataset(dataset)
    preprocessed = workspace.preprocessed(folder)
    path = find_plan(preprocessed, plan)
    document = read_plan(path)
    data, splits = read_dataset(preprocessed), read_splits(preprocessed)
    if splits.hash != document.splits_hash:
        raise UserError(f"{preprocessed / 'splits.json'}: not the folds of {path.name}, expected those; plan again.")
    channels = preset.channels(data)
    preset = replace(preset, student_channels=channels if len(channels) > 1 else ())
    if preset.student_covariates and not data.covariates:
        raise UserError(f"--covariates: {preprocessed / 'dataset.json'} names none, expected some; plan again.")
    if document.batch_size % ranks.count:
        fitting = ", ".join(str(n) for n in range(1, document.batch_size + 1) if document.batch_size % n == 0)
        raise UserError(
            f"{path}: its batches of {document.batch_size} cannot be shared evenly by {ranks.count} processes, "
            f"expected {fitting} of them."
        )
    start = open_pretrained(Path(pretrained), document, data, preset, lora_rank=lora_rank) if pretrained else None
    run = Run(
        preprocessed=preprocessed,
        results=workspace.results(folder, document.name),
        name=model_name(preset.name, variant(preset, data, teachers, start.variant if start else None), seed),
        plan=document,
        dataset=data,
        splits=splits,
        preset=preset,
        teachers=_teacher_mode(preset, teachers, document.folds),
        cases=with_covariates(
            _read_cases(cases_folder(preprocessed, document.name), splits), stored_covariates(preprocessed, data), data
        ),
        device=choose_device(device),
        seed=seed,
        epochs=epochs,
        iterations=iterations,
        quiet=quiet,
        ranks=ranks,
        compile=compile,
        pretrained=start,
    )
    losses_of(run)
    check_structure_alone(preset, document, run.cases.values())
    return run


def check_length(epochs: int | None, iterations: int | None) -> None:
    """Refuse a length that trains nothing; None is as planned.

    Raises:
        UserError: Less than 1.
    """
    for name, value in (("--epochs", epochs), ("--iterations", iterations)):
        if value is not None and value < 1:
            raise UserError(f"{name} {value}: expected at least 1.")


def find_plan(preprocessed: Path, name: str) -> Path:
    """File of a plan.

    Raises:
        UserError: The dataset has not been planned so.
    """
    path = preprocessed / ("plan.json" if name == "auto" else f"{name}.json")
    if not path.exists():
        raise UserError(f"{path}: file not found, expected a plan; run reactkd_plan_and_preprocess first.")
    return path


def _teacher_mode(preset: Preset, wanted: TeacherMode | None, folds: int) -> TeacherMode:
    """The mode that is asked for, else the preset's as far as there are folds enough."""
    mode = wanted or preset.teacher_mode
    if mode == "in_sample" or folds >= FEWEST_FOLDS_TO_CROSS_FIT or not preset.distil:
        return mode
    if wanted is None:
        return "in_sample"
    raise UserError(
        f"--teachers cross_fitted: found {folds} folds, expected at least {FEWEST_FOLDS_TO_CROSS_FIT}, so that a "
        "teacher that leaves out two has some to learn from; plan with more folds, or use in_sample."
    )


def _read_cases(folder: Path, splits: Splits) -> dict[str, CaseProperties]:
    finished = set(finished_cases(folder))
    if missing := sorted(set(splits.assignment) - finished):
        raise UserError(
            f"{folder}: {len(missing)} cases are not preprocessed (first {missing[0]}), expected all "
            f"{len(splits.assignment)}; run reactkd_plan_and_preprocess again, it continues."
        )
    return {case: read_properties(folder, case) for case in sorted(splits.assignment)}
