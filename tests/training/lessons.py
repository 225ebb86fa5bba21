"""Random answers of a student and its teachers, for tests of losses."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from reactkd_auto.networks import Outputs
from reactkd_auto.training.losses import Lesson, Setting

NODES, WIDTH, GRIDS = 5, 6, ((4, 4, 4), (2, 2, 2))
LESIONS = torch.tensor([False, True, True, True, False])


def make_setting(**changes: object) -> Setting:
    setting = Setting(
        preset="mine", temperature=2.0, classes=3, batch_size=8, width=WIDTH, maps=2, node_width=2 * WIDTH
    )
    return replace(setting, **changes)


def make_outputs(seed: int, *, batch: int = 8, classes: int = 3, node_valid: Tensor | None = None) -> Outputs:
    """Answers with gradients; each case has its organ and first lesion at least."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=random).requires_grad_()

    if node_valid is None:
        node_valid = torch.rand(batch, NODES, generator=torch.Generator().manual_seed(0)) < 0.7
        node_valid[:, :2] = True
    maps = tuple(draw(WIDTH, *grid) for grid in GRIDS)
    return Outputs(
        logits=draw(classes),
        gap_logits=draw(classes),
        node_logits=draw(NODES, classes),
        node_features=draw(NODES, 2 * WIDTH),
        node_attention=torch.zeros(batch, NODES),
        node_valid=node_valid,
        attention=(),
        maps=maps,
    )


def make_lesson(student: Outputs, teacher: Outputs, label: Tensor | None = None) -> Lesson:
    batch = len(student.logits)
    if label is None:
        label = torch.arange(batch) % 4 - 1  # every fourth case is ungraded
    measured = tuple(torch.ones(batch, 1, *grid) for grid in GRIDS)
    measured[0][:, :, -1] = 0.0
    return Lesson(student, teacher, label, measured, LESIONS)


def leaves(outputs: Outputs) -> list[Tensor]:
    """What a loss may have gradients for."""
    return [outputs.logits, outputs.node_logits, outputs.node_features, *outputs.maps]
