"""Who teaches a student: one set of teachers for node features, and cross-fitted ones for logits.

A teacher remembers the labels of the cases that it was trained on, and its logits there say more of the labels than of
the images. Cross-fitted, a student's logits and node logits for a case come from teachers that saw neither the case's
fold nor the student's. Node *features* and maps all come from those that left out the student's fold only: feature
spaces of different teachers do not match (METHOD.md section 3).

Each set has up to three teachers: ``fused``, ``structure`` (PET/CT) and ``dose`` (the CT alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reactkd_auto.networks import GraphInputs, Outputs, TeacherOutputs, Teachers, compile_branches
from reactkd_auto.training.augment import Views
from reactkd_auto.training.preset import WeightingName
from reactkd_auto.training.run import Run
from reactkd_auto.training.teacher_choice import choose_teachers
from reactkd_auto.training.teacher_weights import Votes, mixture, weigh
from reactkd_auto.training.teachers_stage import load_teachers


@dataclass(frozen=True)
class Panel:
    """Which teachers of a set speak, and how.

    Attributes:
        heads: Their names; the first one's features and maps are distilled.
        weighting: How their logits are put together.
        temperature: T at which their probabilities are mixed.
        losses: Their mean cross-entropies out of fold, or None.
    """

    heads: tuple[str, ...] = ("fused",)
    weighting: WeightingName = "fused"
    temperature: float = 1.0
    losses: tuple[float, ...] | None = None


class Tutors:
    """The finished teachers of one student.

    Args:
        own: Trained without the student's fold; alone, they are in-sample teachers.
        others: By fold, trained without that fold and the student's.
        fold_of: Fold of each case. A case of a fold without teachers of its own (ungraded patients belong to none, no
            teacher learnt from them) is answered by ``own``.
        panel: Who of each set speaks.
    """

    def __init__(
        self, own: Teachers, others: Mapping[int, Teachers], fold_of: Mapping[str, int], panel: Panel | None = None
    ) -> None:
        self.own, self.others, self.fold_of, self.panel = own, others, fold_of, panel or Panel()

    @torch.no_grad()
    def answer(self, views: Views, graph: GraphInputs, names: Sequence[str]) -> Outputs:
        """The teachers' answer to an augmented batch of the named cases."""
        answers = self._heads(self.own, views, graph)
        for fold, teachers in self.others.items():
            rows = [i for i, name in enumerate(names) if self.fold_of[name] == fold]
            if rows:
                place = torch.tensor(rows)
                there = place.to(views.label.device, non_blocking=True)
                unbiased = self._heads(teachers, views.rows(place), graph.rows(there))
                answers = [_with_logits(a, there, u) for a, u in zip(answers, unbiased, strict=True)]
        return answers[0] if len(answers) == 1 else self._mixed(answers, views)

    def _heads(self, teachers: Teachers, views: Views, graph: GraphInputs) -> list[Outputs]:
        outputs: TeacherOutputs = teachers(
            views.image, views.doses, views.present, views.valid, graph, covariates=views.covariates
        )
        return [getattr(outputs, head) for head in self.panel.heads]

    def _mixed(self, answers: list[Outputs], views: Views) -> Outputs:
        panel, logits = self.panel, torch.stack([a.logits for a in answers])
        losses = None if panel.losses is None else torch.tensor(panel.losses).to(logits.device, non_blocking=True)
        saw = _saw(panel.heads, views.present).to(logits.device, non_blocking=True)
        weights = weigh(Votes(logits, saw, views.label, losses), panel.weighting)
        node_logits = torch.stack([a.node_logits for a in answers])
        return replace(
            answers[0],
            logits=mixture(logits, weights, panel.temperature),
            node_logits=mixture(node_logits, weights, panel.temperature),
        )


def load_tutors(run: Run, fold: int) -> Tutors:
    """The tutors of a fold's student, as the run's teacher mode and preset want them."""
    own, *pairs = run.teacher_sets(fold)
    others = {next(g for g in pair if g != fold): load_teachers(run, *pair) for pair in pairs}
    choice = choose_teachers(run, fold)
    panel = Panel(choice.heads, run.preset.weighting, run.preset.temperature, choice.losses)
    tutors = Tutors(load_teachers(run, *own), others, run.splits.assignment, panel)
    for teachers in (tutors.own, *others.values()) if run.compile else ():
        compile_branches(teachers)
    return tutors


def _with_logits(answer: Outputs, place: Tensor, other: Outputs) -> Outputs:
    """``answer`` with the logits and node logits of ``other`` at the rows ``place``."""
    return replace(
        answer,
        logits=answer.logits.index_copy(0, place, other.logits),
        node_logits=answer.node_logits.index_copy(0, place, other.node_logits),
    )


def _saw(heads: Sequence[str], present: Tensor) -> Tensor:
    """(B, H) share of what each teacher is for that was there."""
    privileged, everything = present[:, 1:].float().mean(1), torch.ones_like(present[:, 0], dtype=torch.float32)
    return torch.stack([privileged if head == "structure" else everything for head in heads], 1)
