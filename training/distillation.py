"""The losses of distillation that a preset asks for, built for a plan."""

from __future__ import annotations

from reactkd_auto.dataset import Dataset
from reactkd_auto.networks.pooling import map_stages, node_width
from reactkd_auto.plan import Plan
from reactkd_auto.regions.slots import node_slots
from reactkd_auto.training.losses import DISTILLATION, DistillationLoss, Setting
from reactkd_auto.training.preset import Preset


def distillation_losses(preset: Preset, plan: Plan, dataset: Dataset) -> dict[str, DistillationLoss]:
    """By name; those that need a region graph are left out where the plan has none.

    Raises:
        UserError: A condition of a loss is not met.
    """
    network, graph = plan.network, bool(node_slots(plan.graph, dataset))
    setting = Setting(
        preset=preset.name,
        temperature=preset.temperature,
        classes=len(dataset.classes),
        batch_size=plan.batch_size // plan.accumulation_steps,
        width=network.embedding_width,
        maps=len(map_stages(network)),
        node_width=node_width(network),
    )
    wanted = {name: loss for name, loss in DISTILLATION.items() if name in preset.losses}
    return {name: loss(setting) for name, loss in wanted.items() if graph or not loss.needs_graph}
