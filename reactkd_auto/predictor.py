"""One student on one batch of patches: flips, probabilities, and what an explanation needs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from .dataset import Dataset
from .networks import GraphInputs, Outputs, Student, graph_inputs, student_channels
from .networks.precision import mixed_precision
from .plan import Plan
from .preprocessing.batch import Batch
from .preprocessing.normalise import normalise

Axes = tuple[int, ...]


@dataclass(frozen=True)
class PatchPrediction:
    """A student's answer for B patches.

    Attributes:
        probabilities: float32 [flips, B, K], the unflipped pass first; their average is the prediction.
        flips: The axes (0 z, 1 y, 2 x) mirrored in each pass.
        outputs: Of the unflipped pass, with its gradients where they were asked for.
        graph: Regions on the network's grids, as the unflipped pass saw them.
    """

    probabilities: Tensor
    flips: tuple[Axes, ...]
    outputs: Outputs
    graph: GraphInputs


def predict_batch(
    student: Student,
    batch: Batch,
    plan: Plan,
    dataset: Dataset,
    channels: tuple[str, ...],
    *,
    flips: bool,
    gradients: bool = False,
) -> PatchPrediction:
    """Class probabilities of a batch that is on the student's device already; nothing waits for that device.

    Args:
        student: Built for ``channels``.
        batch: Real units, on a grid that is a multiple of the network's total stride (such as the planned patch).
        plan: The student's.
        dataset: The student's.
        channels: Names of the student's channels, the base first.
        flips: Also predict every mirror image that ``plan.augmentation.mirror_axes`` allows.
        gradients: Keep the graph of the unflipped pass, so that ``outputs.logits`` can be differentiated with
            respect to ``outputs.node_features``.

    Raises:
        ValueError: The batch's grid is not a multiple of the network's total stride.
    """
    selected = list(student_channels(dataset, channels))
    images = normalise(batch.image[:, selected], dataset, plan, channels=channels)
    present, valid = batch.present[:, selected], batch.valid[:, selected]
    graph = graph_inputs(batch.nodes, batch.valid, batch.node_valid, batch.node_geometry, batch.edges, plan, dataset)
    more = {"covariates": batch.covariates}
    passes = mirror_combinations(plan.augmentation.mirror_axes) if flips else ((),)
    with torch.set_grad_enabled(gradients):
        outputs = _forward(student, images, present, valid, graph, **more)
    logits = [outputs.logits.detach()]
    with torch.no_grad():
        for axes in passes[1:]:
            dims = [a + 2 for a in axes]
            mirrored = _forward(student, images.flip(dims), present, valid.flip(dims), graph.flipped(axes), **more)
            logits.append(mirrored.logits)
    return PatchPrediction(torch.softmax(torch.stack(logits), dim=2), passes, outputs, graph)


def mirror_combinations(axes: Axes) -> tuple[Axes, ...]:
    """Every subset of the axes, the empty one first: ``(0, 2)`` → ``(), (0,), (2,), (0, 2)``."""
    return tuple(subset for size in range(len(axes) + 1) for subset in combinations(axes, size))


def _forward(
    student: Student, images: Tensor, present: Tensor, valid: Tensor, graph: GraphInputs, *, covariates: Tensor | None
) -> Outputs:
    with mixed_precision(images.device):
        outputs: Outputs = student(images, present, valid, graph, covariates=covariates)
    return outputs
