"""What one call of the training is about: folders, plan, data, options."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from reactkd_auto.cases import CaseProperties
from reactkd_auto.dataset import Dataset
from reactkd_auto.jsonio import content_hash, to_plain
from reactkd_auto.model_folder import ModelFolder
from reactkd_auto.plan import Plan
from reactkd_auto.ranks import ALONE, Ranks
from reactkd_auto.splits import Splits
from reactkd_auto.training.distillation import distillation_losses
from reactkd_auto.training.losses import DistillationLoss
from reactkd_auto.training.preset import Preset, TeacherMode, TeacherRecipe, read_teacher_recipe
from reactkd_auto.training.pretrained_start import PretrainedFolder
from reactkd_auto.training.schedule import Schedule

Stage = Literal["segmentation", "teachers", "student"]
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


def losses_of(run: Run) -> dict[str, DistillationLoss]:
    """The preset's losses of distillation, built for as many samples as they see at once.

    Raises:
        UserError: A condition of a loss is not met.
    """
    return distillation_losses(
        run.preset, replace(run.plan, accumulation_steps=run.parts * run.ranks.count), run.dataset
    )


def cases_folder(preprocessed: Path, plan: str) -> Path:
    """Folder of the cases preprocessed by a plan."""
    return preprocessed / ("cases" if plan == "auto" else f"cases_{plan}")
