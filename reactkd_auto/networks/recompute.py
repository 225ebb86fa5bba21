"""Activation checkpointing: parts of a network keep their inputs only, and compute the rest anew when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .precision import contexts_to_recompute

Result = TypeVar("Result")


class Thrifty(nn.Module):
    """A module with parts that it can compute anew in the backward pass instead of keeping what they need for it.

    Attributes:
        recompute: Whether it does.
    """

    recompute = False


def run(function: Callable[..., Result], *inputs: object, recompute: bool) -> Result:
    """``function(*inputs)``; with ``recompute`` it runs once more in the backward pass (Chen et al. 2016, 1604.06174).

    Results and gradients are the same either way. What is computed twice must draw no random numbers and keep no
    statistics.
    """
    if not (recompute and torch.is_grad_enabled()):
        return function(*inputs)
    result: Result = checkpoint(
        function, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts_to_recompute
    )
    return result


def recompute_activations(network: nn.Module) -> None:
    """Switch it on in all parts of a network."""
    for module in network.modules():
        if isinstance(module, Thrifty):
            module.recompute = True
