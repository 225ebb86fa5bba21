"""Stage ``dual_teacher_training``: structure-function teacher and dose teacher, trained together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from reactkd_auto.cases import CaseProperties
from reactkd_auto.dataset import Dataset
from reactkd_auto.networks import Outputs, Teachers, build_teachers, load_weights, swin
from reactkd_auto.networks.onednn import prefer_onednn
from reactkd_auto.networks.precision import mixed_precision
from reactkd_auto.plan import Plan
from reactkd_auto.training.classification import LabelLoss, label_loss
from reactkd_auto.training.covariates import standardise_by
from reactkd_auto.training.loader import Arrays
from reactkd_auto.training.losses import dose_consistency
from reactkd_auto.training.modality_dropout import hide_channels, hiding_probability
from reactkd_auto.training.preset import TeacherRecipe
from reactkd_auto.training.run import Run
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.views import (
    Inputs,
    any_privileged,
    held_out_batches,
    plain_views,
    regions_of,
    training_views,
)
from reactkd_auto.training.watch import auc

logger = logging.getLogger(__name__)

WEIGHTS = "teachers.safetensors"
Logits = dict[str, dict[str, list[float]]]
"""By head (``fused``, ``structure``, ``dose``) and case, one logit a class."""


class TeacherTask:
    """Losses of one step (see `loop.Task`): labels on every teacher's own logits, and consistency between doses.

    Patients' labels suffice for the lesion nodes too: logits contain the attention-weighted node logits.
    """

    def __init__(
        self,
        teachers: Teachers,
        *,
        plan: Plan,
        dataset: Dataset,
        recipe: TeacherRecipe,
        label_loss: LabelLoss,
        case_folder: Path,
        watched: Sequence[CaseProperties],
        device: torch.device,
    ) -> None:
        self.module = teachers
        self.plan, self.dataset, self.recipe = plan, dataset, recipe
        self.label_loss, self.case_folder, self.watched, self.device = label_loss, case_folder, watched, device
        self.consistent = plan.dose.enabled and recipe.dose_consistency > 0
        self.weights = {"fused": 1.0, "structure": 1.0, "dose": 1.0, "consistency": recipe.dose_consistency}

    def prepare(self, arrays: Arrays, moment: Moment) -> Inputs:
        """Augmented samples, some of whose channels are hidden."""
        views, graph, generator = training_views(
            arrays,
            moment,
            plan=self.plan,
            dataset=self.dataset,
            device=self.device,
            doses=2 if self.consistent else 1,
        )
        recipe = self.recipe
        probability = hiding_probability(
            moment.progress, limit=recipe.modality_dropout, warmup=recipe.modality_dropout_warmup
        )
        present = hide_channels(views.present, probability, generator, whole=moment.whole(len(views.label)))
        return Inputs(arrays["names"], views, graph, present)

    def counts(self, inputs: Inputs) -> dict[str, Tensor]:
        """Graded samples that each teacher learns from."""
        return {name: self.label_loss.count(label) for name, label in self._labels(inputs).items()}

    def step(self, inputs: Inputs) -> dict[str, Tensor]:
        """Losses of one part."""
        views, graph = inputs.views, inputs.graph
        answers = self.module(
            views.image, views.doses[:, :1], inputs.present, views.valid, graph, covariates=views.covariates
        )
        losses = {
            name: self.label_loss(getattr(answers, name).logits, label) for name, label in self._labels(inputs).items()
        }
        if self.consistent:
            higher = self._at_higher_dose(inputs)
            losses["consistency"] = dose_consistency(answers.dose.logits, higher.logits)
        return losses

    def watch(self, average: torch.nn.Module) -> dict[str, float]:
        """Held-out AUC of every teacher; the dose teacher sees the CT alone."""
        assert isinstance(average, Teachers)
        answers = teacher_logits(
            average, self.watched, plan=self.plan, dataset=self.dataset, folder=self.case_folder, device=self.device
        )
        areas = {f"held_out_auc_{name}": auc(self.watched, probabilities(rows)) for name, rows in answers.items()}
        return {name: area for name, area in areas.items() if area is not None}

    def _labels(self, inputs: Inputs) -> dict[str, Tensor]:
        """Labels (B,) that each teacher learns from: the structure-function teacher needs a privileged channel."""
        label = inputs.views.label
        if not self.module.privileged:
            return {"fused": label}
        seen = any_privileged(inputs.present).to(self.device, non_blocking=True)
        return {"fused": label, "structure": torch.where(seen, label, -1), "dose": label}

    @torch.no_grad()
    def _at_higher_dose(self, inputs: Inputs) -> Outputs:
        return self.module.dose_alone(inputs.views.doses[:, 1:2], inputs.graph)


def new_task(run: Run, without: Sequence[int], watched: Sequence[CaseProperties]) -> TeacherTask:
    """Fresh teachers that leave out these folds."""
    recipe = run.recipe
    teachers = new_teachers(run)
    standardise_by(teachers, run.training_cases(*without))
    if run.pretrained:
        run.pretrained.start(teachers, seed=run.seed)
    teachers = teachers.to(run.device)
    if recipe.encoder == "swin":
        logger.info("%s", swin.describe(run.plan))
    return TeacherTask(
        teachers,
        plan=run.plan,
        dataset=run.dataset,
        recipe=recipe,
        label_loss=label_loss(recipe.classification, run.plan, run.dataset, run.training_cases(*without), run.device),
        case_folder=run.case_folder,
        watched=watched,
        device=run.device,
    )


def new_teachers(run: Run) -> Teachers:
    """Teachers with initial weights, as the preset's recipe wants them."""
    return build_teachers(run.built_plan, run.dataset, seed=run.seed, encoder=run.recipe.encoder, channels_last=True)


def load_teachers(run: Run, *without: int) -> Teachers:
    """The finished teachers that left out these folds, with EMA weights; see `answering`."""
    teachers = new_teachers(run)
    load_weights(run.teachers_folder(*without) / WEIGHTS, teachers)
    return answering(teachers, run.device)


def answering(teachers: Teachers, device: torch.device) -> Teachers:
    """Teachers that learn no more: on the device, in evaluation mode, without gradients.

    Cross-fitted, few samples of a batch are a teacher's to answer, often one: a CPU convolves that faster by oneDNN.
    """
    prefer_onednn(teachers)
    return teachers.to(device).eval().requires_grad_(False)


@torch.no_grad()
def teacher_logits(
    teachers: Teachers,
    cases: Sequence[CaseProperties],
    *,
    plan: Plan,
    dataset: Dataset,
    folder: Path,
    device: torch.device,
) -> Logits:
    """Logits of each case by ``fused`` (all its channels) and, where these differ, ``structure`` and ``dose``.

    ``dose`` sees the CT alone, here at full dose. Where a case has no privileged channel, ``structure`` speaks from its
    missing tokens.
    """
    logits: Logits = {}
    for names, batch in held_out_batches(folder, cases, plan=plan, dataset=dataset, device=device):
        views = plain_views(batch, plan=plan, dataset=dataset)
        with mixed_precision(device):
            graph = regions_of(views, plan, dataset)
            out = teachers(views.image, views.doses, views.present, views.valid, graph, covariates=views.covariates)
        heads = {"fused": out.fused}
        if out.structure is not None:
            heads |= {"structure": out.structure, "dose": out.dose}
        for head, output in heads.items():
            logits.setdefault(head, {}).update(zip(names, output.logits.double().tolist(), strict=True))
    return logits


def probabilities(logits: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Class probabilities of each case."""
    return {case: torch.tensor(row, dtype=torch.float64).softmax(0).tolist() for case, row in logits.items()}
