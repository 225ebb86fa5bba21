"""What one call of the training is about: folders, plan, data, options."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from reactkd_auto.cases import CaseProperties, finished_cases, read_properties
from reactkd_auto.covariates import stored_covariates
from reactkd_auto.dataset import Dataset, check_safe_name, read_dataset
from reactkd_auto.device import choose_device
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import content_hash, to_plain
from reactkd_auto.model_folder import ModelFolder, model_name
from reactkd_auto.plan import Plan, read_plan
from reactkd_auto.ranks import ALONE, Ranks
from reactkd_auto.splits import Splits, read_splits
from reactkd_auto.training.covariates import with_covariates
from reactkd_auto.training.distillation import distillation_losses
from reactkd_auto.training.losses import DistillationLoss
from reactkd_auto.training.preset import Preset, TeacherMode, TeacherRecipe, read_teacher_recipe
from reactkd_auto.training.pretrained_start import PretrainedFolder, open_pretrained
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.training.structure_alone import check_structure_alone
from reactkd_auto.workspace import Workspace

Stage = Literal["segmentation", "teachers", "student"]
FEWEST_FOLDS_TO_CROSS_FIT = 3
ROUNDING = 1e-9
"""By which a product of shares may exceed a whole number of epochs."""
USUAL_TEACHERS = "auto"
"""Recipe beside whose teachers the localisers lie, which no recipe changes."""


@dataclass(frozen=True)
class Run:
    """Everything that the stages of every fold share.

    Attributes:
        preprocessed: ``preprocessed/Dataset001_NAME``.
        results: ``results/Dataset001_NAME/PLAN``.
        name: Of the model folder.
        plan, dataset, splits, preset: Documents.
        teachers: Whether a student learns from teachers that saw its training cases, or from such that did not.
        cases: Properties of all preprocessed cases, by name.
        device, seed: As chosen.
        epochs, iterations: The user's, or None for the plan's.
        quiet: No progress bars.
        ranks: Processes that share the batches.
        compile: Whether the networks that a training step runs are compiled.
        pretrained: What encoders begin with, None for random weights.
    """

    preprocessed: Path
    results: Path
    name: str
    plan: Plan
    dataset: Dataset
    splits: Splits
    preset: Preset
    teachers: TeacherMode
    cases: dict[str, CaseProperties]
    device: torch.device
    seed: int
    epochs: int | None
    iterations: int | None
    quiet: bool
    ranks: Ranks = ALONE
    compile: bool = False
    pretrained: PretrainedFolder | None = None

    @property
    def case_folder(self) -> Path:
        """Where the preprocessed arrays lie."""
        return cases_folder(self.preprocessed, self.plan.name)

    @property
    def model(self) -> ModelFolder:
        """The model folder that this run fills."""
        return ModelFolder(self.results / self.name)

    @property
    def cross_fitted(self) -> bool:
        """Whether students learn from teachers that never saw the case."""
        return self.preset.distil and self.teachers == "cross_fitted"

    def teacher_sets(self, fold: int) -> list[tuple[int, ...]]:
        """Folds that each teacher of a fold's student leaves out, rising; first the one that leaves out no other.

        Cross-fitted: a teacher without {f, g} serves student f on cases of fold g, and student g on those of fold f.
        """
        others = [g for g in range(self.plan.folds) if g != fold] if self.cross_fitted else []
        return [(fold,), *((min(fold, g), max(fold, g)) for g in others)]

    @property
    def parts(self) -> int:
        """Parts that each rank learns its share of a batch in: no more samples are held at once than planned."""
        return -(-self.plan.accumulation_steps // self.ranks.count)

    @property
    def built_plan(self) -> Plan:
        """The plan by which networks are built that see as many parts."""
        return replace(self.plan, accumulation_steps=self.parts)

    @property
    def recipe(self) -> TeacherRecipe:
        """How the preset's teachers are trained."""
        return read_teacher_recipe(self.preset.teachers or USUAL_TEACHERS)

    @property
    def all_teachers(self) -> Path:
        """Where every teacher of this recipe and seed has its folder."""
        start = f"_{self.pretrained.variant}" if self.pretrained else ""
        return self._teachers(f"{self.recipe.name}{start}")

    def teachers_folder(self, *without: int) -> Path:
        """Teachers that never saw these folds, shared by presets of one recipe and by the students of these folds."""
        return self.all_teachers / ("without_" + "_".join(map(str, without)))

    def localiser_folder(self, fold: int) -> Path:
        """The localiser that never saw this fold, shared by all presets."""
        return self._teachers(USUAL_TEACHERS) / f"without_{fold}"

    def _teachers(self, recipe: str) -> Path:
        return self.results / "teachers" / f"{recipe}_seed{self.seed}"

    def training_cases(self, *without: int) -> list[CaseProperties]:
        """Cases of all other folds."""
        return [self.cases[c] for c in self.splits.training_cases(*without)]

    def held_out_cases(self, *folds: int) -> list[CaseProperties]:
        """Cases that these folds keep apart, graded or not."""
        return [self.cases[c] for c in self.splits.held_out_cases(*folds)]

    def schedule(self, stage: Stage, left_out: int = 1) -> Schedule:
        """Planned length, or the user's. Teachers see a graded case as often as the student, until they are as planned.

        Those that leave out two folds have fewer cases than those that leave out one, and are trained the shorter: all
        see each of their cases equally often.
        """
        t, folds = self.plan.training, self.plan.folds
        epochs, iterations = self.epochs or t.student_epochs, self.iterations or t.iterations_per_epoch
        if stage == "teachers":
            as_often = min(t.graded_share * epochs, t.teacher_epochs * t.iterations_per_epoch / iterations)
            epochs = math.ceil(as_often * (folds - left_out) / (folds - 1) - ROUNDING)
        decay = t.weight_decay * (self.preset.weight_decay_factor if stage == "student" else 1.0)
        return Schedule(epochs, iterations, t.learning_rate, decay, t.ema_decay)

    def settings(self, stage: Literal["teachers", "student"], left_out: int = 1) -> dict[str, Any]:
        """What a stage's result depends on; with other settings it is another result."""
        schedule, document = self.schedule(stage, left_out), self.recipe if stage == "teachers" else self.preset
        recipe = {k: v for k, v in to_plain(document).items() if k not in ("name", "description", "source")}
        if not recipe.get("student_covariates"):
            recipe.pop("student_covariates", None)
        covariates = {"covariates": content_hash(self.dataset.covariates)} if self.dataset.covariates else {}
        return {
            "plan": self.plan.hash,
            "seed": self.seed,
            "epochs": schedule.epochs,
            "iterations per epoch": schedule.iterations,
            "recipe": content_hash(recipe),
            **covariates,
            **(self.pretrained.settings if self.pretrained else {}),
        }


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
    for name, value in (("--epochs", epochs), ("--iterations", iterations), ("--lora_rank", lora_rank)):
        if value is not None and value < 1:
            raise UserError(f"{name} {value}: expected at least 1.")
    if lora_rank and not pretrained:
        raise UserError(f"--lora_rank {lora_rank}: found no --pretrained, expected encoders that it can update.")
    if seed < 0:
        raise UserError(f"--seed {seed}: expected 0 or more.")
    folder = workspace.find_dataset(dataset)
    preprocessed = workspace.preprocessed(folder)
    path = preprocessed / ("plan.json" if plan == "auto" else f"{plan}.json")
    if not path.exists():
        raise UserError(f"{path}: file not found, expected a plan; run reactkd_plan_and_preprocess first.")
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


def losses_of(run: Run) -> dict[str, DistillationLoss]:
    """The preset's losses of distillation, built for as many samples as they see at once.

    Raises:
        UserError: A condition of a loss is not met.
    """
    return distillation_losses(
        run.preset, replace(run.plan, accumulation_steps=run.parts * run.ranks.count), run.dataset
    )


def variant(preset: Preset, dataset: Dataset, teachers: TeacherMode | None, start: str | None) -> str | None:
    """What of a model differs from its preset by the call's options, as its folder is called.

    A student of several channels is called by all of them, last of all, such as ``in_sample_CT+FDG``: nothing else
    holds a ``+``, so names of different models differ, whatever the channels are called.

    Args:
        preset, dataset: Its own.
        teachers: That were asked for; None: as the preset says.
        start: `PretrainedFolder.variant`; None: from random weights.

    Raises:
        UserError: Teachers were asked for and the preset has none; a channel that the dataset does not have, or whose
            name cannot be part of a folder's.
    """
    if teachers and not preset.distil:
        raise UserError(f"teachers {teachers}: preset {preset.name} has none, expected one that learns from teachers.")
    mode = teachers if teachers != preset.teacher_mode else None
    covariates = "covariates" if preset.student_covariates else None
    channels = preset.channels(dataset)
    seen = _in_a_path(channels) if len(channels) > 1 else None
    return "_".join(part for part in (mode, covariates, start, seen) if part) or None


def _in_a_path(channels: tuple[str, ...]) -> str:
    try:
        for name in channels:
            check_safe_name(name, "channel name")
    except ValueError as error:
        raise UserError(f"--student_channels: {error}, because the model folder is called by it.") from None
    return "+".join(channels)


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


def cases_folder(preprocessed: Path, plan: str) -> Path:
    """Folder of the cases preprocessed by a plan."""
    return preprocessed / ("cases" if plan == "auto" else f"cases_{plan}")


def _read_cases(folder: Path, splits: Splits) -> dict[str, CaseProperties]:
    finished = set(finished_cases(folder))
    if missing := sorted(set(splits.assignment) - finished):
        raise UserError(
            f"{folder}: {len(missing)} cases are not preprocessed (first {missing[0]}), expected all "
            f"{len(splits.assignment)}; run reactkd_plan_and_preprocess again, it continues."
        )
    return {case: read_properties(folder, case) for case in sorted(splits.assignment)}
