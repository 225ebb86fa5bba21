"""Who teaches a student: one teacher for node features, and cross-fitted ones for logits.

A teacher remembers the labels of the cases that it was trained on, and its logits there say more of the labels than of
the images. Cross-fitted, a student's logits and node logits for a case come from a teacher that saw neither the case's
fold nor the student's. Node *features* all come from the one teacher that left out the student's fold only: feature
spaces of different teachers do not match (METHOD.md section 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from reactkd_auto.networks import GraphInputs, Outputs, Teachers
from reactkd_auto.training.augment import Views
from reactkd_auto.training.run import Run
from reactkd_auto.training.teachers_stage import load_teachers


class Tutors:
    """The finished teachers of one student.

    Args:
        own: Trained without the student's fold; alone, it is an in-sample teacher.
        others: By fold, trained without that fold and the student's.
        fold_of: Fold of each case. A case of a fold without a teacher of its own (ungraded patients belong to none, no
            teacher learnt from them) is answered by ``own``.
    """

    def __init__(self, own: Teachers, others: Mapping[int, Teachers], fold_of: Mapping[str, int]) -> None:
        self.own, self.others, self.fold_of = own, others, fold_of

    @torch.no_grad()
    def answer(self, views: Views, graph: GraphInputs, names: Sequence[str]) -> Outputs:
        """The fused teachers' answer to an augmented batch of the named cases."""
        answer = _fused(self.own, views, graph)
        logits, node_logits = answer.logits, answer.node_logits
        for fold, teachers in self.others.items():
            rows = [i for i, name in enumerate(names) if self.fold_of[name] == fold]
            if rows:
                place = torch.tensor(rows, device=logits.device)
                unbiased = _fused(teachers, views.rows(place), graph.rows(place))
                logits = logits.index_copy(0, place, unbiased.logits)
                node_logits = node_logits.index_copy(0, place, unbiased.node_logits)
        return replace(answer, logits=logits, node_logits=node_logits)


def load_tutors(run: Run, fold: int) -> Tutors:
    """The tutors of a fold's student, as the run's teacher mode wants them."""
    own, *pairs = run.teacher_sets(fold)
    others = {next(g for g in pair if g != fold): load_teachers(run, *pair) for pair in pairs}
    return Tutors(load_teachers(run, *own), others, run.splits.assignment)


def _fused(teachers: Teachers, views: Views, graph: GraphInputs) -> Outputs:
    fused: Outputs = teachers(views.image, views.doses, views.present, views.valid, graph).fused
    return fused
