"""Exponential moving average of weights: the model that is kept."""

from __future__ import annotations

import copy

import torch
from torch import nn

from reactkd_auto.training.schedule import ema_decay


class Ema:
    """θ̄ ← d θ̄ + (1 − d) θ after each iteration, d by `schedule.ema_decay`; buffers are copied.

    (Polyak & Juditsky 1992; with weights of students as in Tarvainen & Valpola 2017, arXiv 1703.01780.)
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, iteration: int) -> None:
        """Take in the weights after ``iteration`` (from 0)."""
        weight = 1.0 - ema_decay(iteration, self.decay)
        for average, current in zip(self.module.parameters(), module.parameters(), strict=True):
            average.lerp_(current, weight)
        for kept, buffer in zip(self.module.buffers(), module.buffers(), strict=True):
            kept.copy_(buffer)
