"""Stage ``region_graph_distillation``: the student learns from labels and from the teachers' logits and graphs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from reactkd_auto.cases import CaseProperties
from reactkd_auto.dataset import Dataset
from reactkd_auto.networks import Outputs, Student, build_student, student_channels
from reactkd_auto.plan import Plan
from reactkd_auto.predictor import predict_batch
from reactkd_auto.regions.slots import node_slots
from reactkd_auto.training.augment import centred
from reactkd_auto.training.classification import LabelLoss, label_loss
from reactkd_auto.training.covariates import standardise_by
from reactkd_auto.training.loader import Arrays
from reactkd_auto.training.losses import DistillationLoss, Lesson
from reactkd_auto.training.modality_dropout import hide_channels, hiding_probability
from reactkd_auto.training.preset import Preset
from reactkd_auto.training.run import Run, losses_of
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.tutors import Tutors
from reactkd_auto.training.views import Inputs, held_out_batches, training_views
from reactkd_auto.training.watch import auc

logger = logging.getLogger(__name__)

LESION_KINDS = ("lesion", "other_lesions")


class Pupil(nn.Module):
    """The student, and what is trained with it but not kept: losses of distillation with their projections."""

    def __init__(self, student: Student, losses: Mapping[str, DistillationLoss]) -> None:
        super().__init__()
        self.student = student
        self.losses = nn.ModuleDict(losses)


class StudentTask:
    """Losses of one step (see `loop.Task`).

    The preset's weighted sum of the loss of labels and of the losses of distillation; without teachers the former
    alone. Teachers see the very sample that the student sees, with all its channels, and get no gradient.
    """

    def __init__(
        self,
        pupil: Pupil,
        tutors: Tutors | None,
        *,
        plan: Plan,
        dataset: Dataset,
        preset: Preset,
        label_loss: LabelLoss,
        case_folder: Path,
        watched: Sequence[CaseProperties],
        device: torch.device,
    ) -> None:
        self.module, self.tutors = pupil, tutors
        self.plan, self.dataset, self.preset = plan, dataset, preset
        self.label_loss, self.case_folder, self.watched, self.device = label_loss, case_folder, watched, device
        self.channels = preset.channels(dataset)
        self.selected = list(student_channels(dataset, self.channels))
        kinds = [slot.kind in LESION_KINDS for slot in node_slots(plan.graph, dataset)]
        self.lesion_slots = torch.tensor(kinds, dtype=torch.bool, device=device)
        self.weights = {"labels": preset.label_weight, **preset.losses}

    def prepare(self, arrays: Arrays, moment: Moment) -> Inputs:
        """Augmented samples, some of whose channels are hidden from the student."""
        preset = self.preset
        views, graph, generator = training_views(
            arrays, moment, plan=self.plan, dataset=self.dataset, device=self.device, doses=1
        )
        probability = hiding_probability(
            moment.progress, limit=preset.modality_dropout, warmup=preset.modality_dropout_warmup
        )
        present = hide_channels(
            views.present[:, self.selected], probability, generator, whole=moment.whole(len(views.label))
        )
        return Inputs(arrays["names"], views, graph, present)

    def counts(self, inputs: Inputs) -> dict[str, Tensor]:
        """Graded samples, and what counts in each loss of distillation that has its own."""
        counts = {"labels": self.label_loss.count(inputs.views.label)}
        for name, loss in self.module.losses.items():
            assert isinstance(loss, DistillationLoss)
            count = loss.count(inputs.graph, self.lesion_slots)
            if count is not None:
                counts[name] = count
        return counts

    def step(self, inputs: Inputs) -> dict[str, Tensor]:
        """Losses of one part."""
        views, graph = inputs.views, inputs.graph
        answer = self._student(inputs)
        losses = {"labels": self.label_loss(answer.logits, views.label)}
        if self.tutors is not None:
            taught = self.tutors.answer(views, graph, inputs.names)
            lesson = Lesson(answer, taught, views.label, graph.weights, self.lesion_slots)
            losses |= {name: loss(lesson) for name, loss in self.module.losses.items()}
        return losses

    def watch(self, average: nn.Module) -> dict[str, float]:
        """Held-out AUC of the student."""
        assert isinstance(average, Pupil)
        answers = student_answers(
            average.student,
            self.watched,
            plan=self.plan,
            dataset=self.dataset,
            channels=self.channels,
            folder=self.case_folder,
            device=self.device,
            flips=False,
        )
        area = auc(self.watched, answers)
        return {} if area is None else {"held_out_auc_student": area}

    def _student(self, inputs: Inputs) -> Outputs:
        views = inputs.views
        base = views.image[:, :1] if self.preset.student_dose == "full" else views.doses[:, :1]
        images = torch.cat([base, views.image[:, self.selected[1:]]], 1)
        present = inputs.present.to(self.device, non_blocking=True)
        answer: Outputs = self.module.student(
            images, present, views.valid[:, self.selected], inputs.graph, covariates=views.covariates
        )
        return answer


def new_task(run: Run, fold: int, tutors: Tutors | None, watched: Sequence[CaseProperties]) -> StudentTask:
    """A fresh student for a fold, with the teachers' attention handed over unless the preset wants its own."""
    student = new_student(run)
    standardise_by(student, run.training_cases(fold))
    if run.pretrained:
        run.pretrained.start(student, seed=run.seed)
    losses: dict[str, DistillationLoss] = {}
    if tutors is not None:
        if run.preset.cbam != "own":
            student.cbam.load_state_dict(tutors.own.cbam.state_dict())
            student.cbam.requires_grad_(run.preset.cbam == "fine_tune")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            losses = losses_of(run)
    _tell(run, losses)
    return StudentTask(
        Pupil(student, losses).to(run.device),
        tutors,
        plan=run.plan,
        dataset=run.dataset,
        preset=run.preset,
        label_loss=label_loss(run.preset.classification, run.plan, run.dataset, run.training_cases(fold), run.device),
        case_folder=run.case_folder,
        watched=watched,
        device=run.device,
    )


def _tell(run: Run, losses: Mapping[str, DistillationLoss]) -> None:
    weights = {"labels": run.preset.label_weight, **{name: run.preset.losses[name] for name in losses}}
    logger.info("losses and weights: %s.", ", ".join(f"{name} {weight:g}" for name, weight in weights.items()))
    if left_out := sorted(set(run.preset.losses) - set(losses)):
        logger.warning("losses %s are left out: the plan has no region graph.", ", ".join(left_out))
    for remark in (loss.remark for loss in losses.values() if loss.remark):
        logger.info("%s", remark)


def new_student(run: Run) -> Student:
    """A student with initial weights, on the run's device."""
    channels = run.preset.channels(run.dataset)
    student = build_student(
        run.built_plan,
        run.dataset,
        channels,
        covariates=run.preset.student_covariates,
        seed=run.seed,
        channels_last=True,
    )
    return student.to(run.device)


@torch.no_grad()
def student_answers(
    student: Student,
    cases: Sequence[CaseProperties],
    *,
    plan: Plan,
    dataset: Dataset,
    channels: tuple[str, ...],
    folder: Path,
    device: torch.device,
    flips: bool,
) -> dict[str, list[float]]:
    """Class probabilities of each case from the student's channels alone, by the predictor that inference uses."""
    answers: dict[str, list[float]] = {}
    for names, batch in held_out_batches(folder, cases, plan=plan, dataset=dataset, device=device):
        prediction = predict_batch(student, centred(batch, plan), plan, dataset, channels, flips=flips)
        answers |= zip(names, prediction.probabilities.double().mean(0).tolist(), strict=True)
    return answers
