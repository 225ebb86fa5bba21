"""Small valid documents that many tests start from."""

import dataclasses
from typing import Any

import numpy as np

from reactkd_auto.cases import CaseProperties, PreprocessedCase
from reactkd_auto.dataset import Channel, Dataset, Region
from reactkd_auto.plan import (
    AugmentationPlan,
    DosePlan,
    EncoderPlan,
    GraphPlan,
    LocaliserPlan,
    NetworkPlan,
    Normalisation,
    Plan,
    TrainingPlan,
)


def small_dataset(**changes: Any) -> Dataset:
    """CT and two tracers, two classes, organ and lesion."""
    dataset = Dataset(
        name="Small",
        channels=(Channel("CT", "ct"), Channel("FDG", "pet_suv"), Channel("ACE", "pet_suv")),
        classes=("low", "high"),
        regions=(Region("organ", 1, "organ"), Region("lesion", 2, "lesion")),
    )
    return dataclasses.replace(dataset, **changes)


def small_plan(**changes: Any) -> Plan:
    """A plan that a laptop trains in seconds: patch 16³, two stages, two lesion nodes."""
    ct = Normalisation("ct", -200.0, 300.0, 40.0, 60.0, 1.0)
    pet = Normalisation("pet_suv", 0.0, 30.0, 1.0, 0.5, 0.01)
    plan = Plan(
        dataset="Small",
        name="auto",
        device="cpu",
        seed=0,
        spacing_mm=(3.0, 2.0, 2.0),
        patch_size=(16, 16, 16),
        context_voxels=(2, 2, 2),
        batch_size=2,
        normalisation={"CT": ct, "FDG": pet, "ACE": pet},
        network=NetworkPlan(
            strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
            teacher=EncoderPlan(8, (1, 1, 1)),
            student=EncoderPlan(8, (1, 1, 1)),
            embedding_width=16,
            pooled_stages=(0, 1),
        ),
        graph=GraphPlan(True, True, (1, 1, 2), 2, "merged", 5.0, True, (), 65.0, 20.0),
        dose=DosePlan(True, (0.05, 1.0), (0.05, 0.25)),
        structure_function_teacher=True,
        localiser=LocaliserPlan(True, (6.0, 6.0, 6.0), (16, 16, 16)),
        augmentation=AugmentationPlan(10.0, 0.1, 4.0, (2,)),
        class_balance="balanced_sampling",
        folds=3,
        training=TrainingPlan(2, 2, 2, 1.0, 1e-3, 1e-4, 0.9),
        zoomed_cases=(),
        gpu_memory_gb=8.0,
        splits_hash="s",
        fingerprint_hash="f",
        reasons={"spacing_mm": "because"},
    )
    return dataclasses.replace(plan, **changes)


def random_case(
    name: str, *, plan: Plan, dataset: Dataset, label: int | None = 0, seed: int = 0, slots: int | None = None
) -> PreprocessedCase:
    """A preprocessed case of random content with consistent shapes."""
    rng = np.random.default_rng(seed)
    size = tuple(p + 2 * c for p, c in zip(plan.patch_size, plan.context_voxels, strict=True))
    nodes = slots or 8
    layers = rng.integers(0, nodes + 1, (3, *size)).astype(np.uint8)
    levels = plan.dose.levels if plan.dose.enabled else ()
    edges = rng.random((nodes, nodes))
    edges = (edges + edges.T) / 2 * (1 - np.eye(nodes))
    properties = CaseProperties(
        case=name,
        patient=f"p_{name}",
        label=label,
        present=(True,) * len(dataset.channels),
        spacing_mm=plan.spacing_mm,
        zoom=1.0,
        origin_mm=(0.0, 0.0, 0.0),
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        original_size=size[::-1],
        original_spacing_mm=plan.spacing_mm[::-1],
        original_origin_mm=(0.0, 0.0, 0.0),
        original_direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        node_valid=(True,) * nodes,
        node_geometry=tuple(map(tuple, rng.random((nodes, 6)).tolist())),
        node_voxels=tuple(int((layers == i + 1).sum()) for i in range(nodes)),
        edges=tuple(map(tuple, edges.tolist())),
        noise_levels=levels,
    )
    return PreprocessedCase(
        properties,
        rng.integers(-150, 250, (len(dataset.channels), *size)).astype(np.int16),
        np.full(size, 2 ** len(dataset.channels) - 1, np.uint8),
        layers,
        rng.integers(-300, 300, (2 if levels else 0, *size)).astype(np.int16),
        rng.integers(-100, 100, (len(levels), *size)).astype(np.int16),
        rng.integers(0, 3, (2, 20, 20, 20)).astype(np.int16) if plan.localiser.enabled else None,
    )


def with_opinions(network: Any, *, seed: int = 7) -> Any:
    """The same network with random weights in its readouts' last layers, which begin at zero."""
    import torch
    from torch import nn

    from reactkd_auto.networks.readout import RegionReadout

    random = torch.Generator().manual_seed(seed)
    for readout in (m for m in network.modules() if isinstance(m, RegionReadout)):
        for layer in (readout.gap, readout.node_logits):
            nn.init.normal_(layer.weight, std=0.3, generator=random)
            nn.init.normal_(layer.bias, std=0.3, generator=random)
    return network
