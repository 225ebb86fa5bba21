"""Stage ``region_graph_distillation``: the student learns from labels and from the teachers' logits and graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from reactkd_auto.cases import CaseProperties
from reactkd_auto.dataset import Dataset
from reactkd_auto.networks import (
    GraphInputs,
    Outputs,
    Student,
    build_student,
    student_channels,
)
from reactkd_auto.plan import Plan
from reactkd_auto.predictor import predict_batch
from reactkd_auto.regions.slots import node_slots
from reactkd_auto.training.augment import Views, centred
from reactkd_auto.training.classification import LabelLoss, label_loss
from reactkd_auto.training.loader import Arrays
from reactkd_auto.training.losses import NodeProjection, edge_loss, logits_kl, node_logit_kl, node_loss
from reactkd_auto.training.modality_dropout import hide_channels, hiding_probability
from reactkd_auto.training.preset import Preset
from reactkd_auto.training.run import Run
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.tutors import Tutors
from reactkd_auto.training.views import held_out_batches, training_views
from reactkd_auto.training.watch import auc

LESION_KINDS = ("lesion", "other_lesions")


class Pupil(nn.Module):
    """The student, and what is trained with it but not kept: the projection of its node features."""

    def __init__(self, student: Student, projection: NodeProjection | None) -> None:
        super().__init__()
        self.student = student
        self.projection = projection


class StudentTask:
    """Losses of one step (see `loop.Task`).

    ``(1 − α) L_cls + α T² KL + node + node_logit + edge``; without teachers L_cls alone. Teachers see the very sample
    that the student sees, with all its channels, and get no gradient.
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

    def step(self, arrays: Arrays, moment: Moment) -> dict[str, Tensor]:
        """Losses of one batch."""
        views, graph, generator = training_views(
            arrays, moment, plan=self.plan, dataset=self.dataset, device=self.device, doses=1
        )
        answer = self._student(views, graph, moment, generator)
        losses = {"labels": self.label_loss(answer.logits, views.label)}
        if self.tutors is None:
            return {"loss": losses["labels"], **losses}
        taught = self.tutors.answer(views, graph, arrays["names"])
        losses["logits"] = logits_kl(answer.logits, taught.logits, temperature=self.preset.temperature)
        losses |= self._graph_losses(answer, taught)
        preset = self.preset
        weights = {
            "labels": 1 - preset.alpha,
            "logits": preset.alpha,
            "node": preset.node,
            "node_logit": preset.node_logit,
            "edge": preset.edge,
        }
        total = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        return {"loss": total, **losses}

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

    def _student(self, views: Views, graph: GraphInputs, moment: Moment, generator: torch.Generator) -> Outputs:
        preset = self.preset
        images = torch.cat([views.doses[:, :1], views.image[:, self.selected[1:]]], 1)
        probability = hiding_probability(
            moment.progress, limit=preset.modality_dropout, warmup=preset.modality_dropout_warmup
        )
        present = hide_channels(views.present[:, self.selected], probability, generator)
        answer: Outputs = self.module.student(images, present, views.valid[:, self.selected], graph)
        return answer

    def _graph_losses(self, answer: Outputs, taught: Outputs) -> dict[str, Tensor]:
        """Node, node-logit and edge losses over the nodes that both have; none without a graph."""
        projection, mask = self.module.projection, answer.node_valid & taught.node_valid
        if projection is None or not mask.shape[1]:
            return {}
        target = projection.target(taught.node_features, mask)
        return {
            "node": node_loss(projection(answer.node_features), target, mask),
            "node_logit": node_logit_kl(
                answer.node_logits,
                taught.node_logits,
                mask & self.lesion_slots,
                temperature=self.preset.temperature,
            ),
            "edge": edge_loss(answer.node_features, taught.node_features, mask),
        }


def new_task(run: Run, fold: int, tutors: Tutors | None, watched: Sequence[CaseProperties]) -> StudentTask:
    """A fresh student for a fold, with the teachers' attention handed over."""
    student = new_student(run)
    projection = None
    if tutors is not None:
        student.cbam.load_state_dict(tutors.own.cbam.state_dict())
        student.cbam.requires_grad_(run.preset.cbam == "fine_tune")
        if run.plan.graph.enabled:
            width = run.plan.network.embedding_width * len(run.plan.network.pooled_stages)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(run.seed)
                projection = NodeProjection(width, width).to(run.device)
    return StudentTask(
        Pupil(student, projection),
        tutors,
        plan=run.plan,
        dataset=run.dataset,
        preset=run.preset,
        label_loss=label_loss(run.preset, run.plan, run.dataset, run.training_cases(fold), run.device),
        case_folder=run.case_folder,
        watched=watched,
        device=run.device,
    )


def new_student(run: Run) -> Student:
    """A student with initial weights, on the run's device."""
    channels = run.preset.channels(run.dataset)
    return build_student(run.plan, run.dataset, channels, seed=run.seed, channels_last=True).to(run.device)


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
