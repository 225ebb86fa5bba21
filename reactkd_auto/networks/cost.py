"""What a training step takes, counted on the networks' shapes: bytes alive at the peak, and floating-point operations.

The step runs on the meta device: every tensor has its shape and type, and no values. Nothing is allocated and nothing
computed, so a plan for a GPU can be counted where there is none. Losses are left out: they look at logits and nodes,
which are small beside maps. What a kernel takes and gives back inside of one operation (cuDNN's workspace) is not seen.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import Plan, StepCost, TrainingCost

from .builders import build_localiser, build_student, build_teachers
from .counting import Counting
from .empty import empty, empty_inputs
from .localiser import LOCALISER_BATCH_SIZE
from .outputs import Outputs
from .precision import CudaAutocast
from .teachers import Teachers

ADAMW_MOMENTS = 2
Answer = Callable[[], list[Tensor]]
"""A forward pass, with all that runs beside it: the tensors that the loss is made of."""


def training_cost(plan: Plan, dataset: Dataset) -> TrainingCost:
    """Cost of a step of teachers, student (of the base alone, with teachers that saw its cases) and localiser."""
    return TrainingCost(
        teachers=teachers_cost(plan, dataset),
        student=student_cost(plan, dataset),
        localiser=localiser_cost(plan, dataset) if plan.localiser.enabled else None,
    )


def teachers_cost(plan: Plan, dataset: Dataset) -> StepCost:
    """As `TeacherTask.step` in training, with the second dose view of the consistency term."""
    step = _Step(plan)
    with step.counting():
        teachers = build_teachers(plan, dataset, channels_last=True)
        step.hold_weights(teachers)
        batch = _Batch(teachers, plan, dataset, doses=1 + plan.dose.enabled)
        step.hold_batch()

        def forward() -> list[Tensor]:
            answers = teachers(*batch.inputs)
            for higher in batch.higher:
                with torch.no_grad():
                    teachers.dose_alone(higher, batch.inputs[-1])
            heads = (answers.fused, answers.structure, answers.dose)
            return [head.logits for head in heads if head is not None]

        return step.run(forward, parts=plan.batch_size / plan.held_at_once)


def student_cost(plan: Plan, dataset: Dataset) -> StepCost:
    """As `StudentTask.step` in training: the teachers answer without gradients, on the same batch."""
    step = _Step(plan)
    with step.counting():
        teachers = build_teachers(plan, dataset, channels_last=True).eval().requires_grad_(False)
        student = build_student(plan, dataset, channels_last=True)
        step.hold_weights(student)
        batch = _Batch(teachers, plan, dataset, doses=1)
        step.hold_batch()
        image, dose, present, valid, graph = batch.inputs

        def forward() -> list[Tensor]:
            answer: Outputs = student(dose, present[:, :1], valid[:, :1], graph)
            with torch.no_grad():
                teachers(image, dose, present, valid, graph)
            return [answer.logits, answer.node_features, answer.node_logits]

        return step.run(forward, parts=plan.batch_size / plan.held_at_once)


def localiser_cost(plan: Plan, dataset: Dataset) -> StepCost:
    """As `LocaliserTask.step` in training; its loss looks at every voxel, so it is part of the count."""
    step = _Step(plan)
    with step.counting():
        localiser = build_localiser(plan, dataset)
        step.hold_weights(localiser)
        (image,) = empty_inputs(localiser, plan, dataset, samples=LOCALISER_BATCH_SIZE)
        labels = empty(LOCALISER_BATCH_SIZE, *plan.localiser.patch_size, dtype=torch.int64)
        step.hold_batch()

        def forward() -> list[Tensor]:
            logits = localiser(image).float()
            probabilities = logits.softmax(1)
            overlap = probabilities * torch.zeros_like(probabilities)
            return [overlap, probabilities, functional.cross_entropy(logits, labels)]

        return step.run(forward, parts=1)


class _Batch:
    """What networks are given of all parts of a batch and, on a CPU, the arrays that these are made from.

    Attributes:
        inputs: Of the part that is learnt from.
        higher: Its further dose views.
    """

    def __init__(self, teachers: Teachers, plan: Plan, dataset: Dataset, *, doses: int) -> None:
        samples, patch = plan.held_at_once, plan.patch_size
        self.inputs: tuple[Any, ...] = empty_inputs(teachers, plan, dataset, samples=samples)
        waiting = plan.batch_size - samples
        self.waiting = empty_inputs(teachers, plan, dataset, samples=waiting) if waiting else ()
        self.nodes = empty(plan.batch_size, 3, *patch, dtype=torch.uint8)
        views = empty(plan.batch_size, doses - 1, *patch)
        self.higher = [views[:samples, i : i + 1] for i in range(doses - 1)]
        if plan.device == "cpu":
            stored = [n + 2 * c for n, c in zip(patch, plan.context_voxels, strict=True)]
            noise = 2 + len(plan.dose.levels) if plan.dose.enabled else 0
            self.arrays = empty(plan.batch_size, len(dataset.channels) + noise, *stored)
            self.bits = empty(plan.batch_size, len(dataset.channels) + 3, *stored, dtype=torch.uint8)


class _Step:
    """One iteration of the training loop, as bytes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.count = Counting()
        self.parts: dict[str, int] = {}
        self.held: list[Any] = []

    @contextmanager
    def counting(self) -> Iterator[None]:
        """New tensors have no values, and their bytes are counted."""
        with torch.device("meta"), self.count:
            yield

    def hold_weights(self, trained: nn.Module) -> None:
        """Weights made so far, and what the optimiser and the average add for those of ``trained``."""
        self.parts["weights"] = self.count.now
        self.held.append(copy.deepcopy(trained))
        self._take("averages")
        for parameter in trained.parameters():
            parameter.grad = torch.empty_like(parameter)
        self._take("gradients")
        self.held.append([[torch.empty_like(p) for p in trained.parameters()] for _ in range(ADAMW_MOMENTS)])
        self._take("optimiser")
        self.trained = trained

    def hold_batch(self) -> None:
        """All that was made since."""
        self._take("batch")

    def run(self, forward: Answer, *, parts: float) -> StepCost:
        """Forward and backward pass; ``parts``: of a batch."""
        before = self.count.now
        device = CudaAutocast() if self.plan.device == "cuda" else _CpuLayout()
        with device:
            answers = forward()
            self.parts["activations"] = self.count.now - before
            self.trained.zero_grad(set_to_none=True)
            torch.stack([a.float().sum() for a in answers]).sum().backward()
        return StepCost(
            peak=self.count.peak,
            **self.parts,
            working=self.count.peak - sum(self.parts.values()),
            flops=round(self.count.flops * parts),
        )

    def _take(self, name: str) -> None:
        self.parts[name] = self.count.now - sum(self.parts.values())


class _CpuLayout(TorchFunctionMode):
    """Group norm as a CPU runs it: on channels-last memory as it is; elsewhere it takes a contiguous copy."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.group_norm:
            func = _group_norm
        return func(*args, **(kwargs or {}))


def _group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    samples, channels, *grid = x.shape
    return torch.native_group_norm(x, weight, bias, samples, channels, math.prod(grid), groups, eps)[0]
