"""A small plan, dataset and batch for tests of networks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reactkd_auto.dataset import Channel, Dataset, Region
from reactkd_auto.networks import GraphInputs, graph_inputs
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
    Triple,
)
from reactkd_auto.regions.slots import node_slots

ISOTROPIC: tuple[Triple, ...] = ((2, 2, 2), (2, 2, 2), (2, 2, 2))
ANISOTROPIC: tuple[Triple, ...] = ((1, 2, 2), (1, 2, 2), (2, 2, 2))
PLAIN_STEM: tuple[Triple, ...] = ((1, 1, 1), (2, 2, 2), (2, 2, 2))


def make_dataset(privileged: int = 2) -> Dataset:
    """CT and PET channels, three classes, organ and lesion."""
    channels = (Channel("ct", "ct"), *(Channel(f"pet{i}", "pet_suv") for i in range(privileged)))
    regions = (Region("liver", 1, "organ"), Region("lesion", 2, "lesion"))
    return Dataset(name="Test", channels=channels, classes=("low", "middle", "high"), regions=regions)


def make_plan(
    *,
    strides: tuple[Triple, ...] = ISOTROPIC,
    patch: Triple = (16, 16, 16),
    pooled: tuple[int, ...] = (0, 1),
    nodes: bool = True,
    structure_function: bool = True,
    width: int = 8,
    student_width: int = 8,
    embedding: int = 8,
    mirror_axes: tuple[int, ...] = (),
) -> Plan:
    """A plan with 1 organ + 2 parcels + 3 lesions + merged ring + other lesions, or without nodes."""
    blocks = (1,) * len(strides)
    ct, pet = Normalisation("ct", -200, 300, 0, 100, 1), Normalisation("pet_suv", 0, 50, 0.5, 0.5, 0.01)
    graph = GraphPlan(True, True, (1, 1, 2), 3, "merged", 5.0, True, (), 65.0, 20.0)
    if not nodes:
        graph = replace(graph, enabled=False, organ=False, parcels=(0, 0, 0), lesions=0, rings="none")
        graph = replace(graph, other_lesions=False)
    return Plan(
        dataset="Dataset001_Test",
        name="auto",
        device="cpu",
        seed=0,
        spacing_mm=(3.0, 2.0, 2.0),
        patch_size=patch,
        context_voxels=(2, 2, 2),
        batch_size=2,
        normalisation={"ct": ct, "pet0": pet, "pet1": pet},
        network=NetworkPlan(strides, EncoderPlan(width, blocks), EncoderPlan(student_width, blocks), embedding, pooled),
        graph=graph,
        dose=DosePlan(True, (0.05, 1.0), (1.0, 0.1)),
        structure_function_teacher=structure_function,
        localiser=LocaliserPlan(True, (6.0, 6.0, 6.0), (16, 24, 24)),
        augmentation=AugmentationPlan(10.0, 0.1, 5.0, mirror_axes),
        class_balance="none",
        folds=5,
        training=TrainingPlan(1, 1, 1, 1.0, 1e-3, 1e-2, 0.9),
        zoomed_cases=(),
        gpu_memory_gb=0.0,
        splits_hash="",
        fingerprint_hash="",
    )


@dataclass
class Sample:
    """Inputs of the networks for a batch; normalised images."""

    image: Tensor
    dose: Tensor
    present: Tensor
    valid: Tensor
    nodes: Tensor
    node_valid: Tensor
    geometry: Tensor
    edges: Tensor

    def graph(self, plan: Plan, dataset: Dataset) -> GraphInputs:
        """Soft regions of this batch."""
        return graph_inputs(self.nodes, self.valid, self.node_valid, self.geometry, self.edges, plan, dataset)


def make_sample(plan: Plan, dataset: Dataset, *, batch: int = 2, seed: int = 0) -> Sample:
    """Random images; every node slot has a block of voxels at a random place of its layer, all channels present."""
    generator = torch.Generator().manual_seed(seed)
    slots, channels, patch = node_slots(plan.graph, dataset), len(dataset.channels), plan.patch_size
    nodes = torch.zeros(batch, 3, *patch, dtype=torch.uint8)
    for b in range(batch):
        for slot in slots:
            z, y, x = (int(torch.randint(0, size - 6, (1,), generator=generator)) for size in patch)
            nodes[b, slot.layer, z : z + 6, y : y + 6, x : x + 6] = slot.index + 1
    present = torch.tensor(
        [[bool((nodes[b, s.layer] == s.index + 1).any()) for s in slots] for b in range(batch)], dtype=torch.bool
    ).reshape(batch, len(slots))
    edges = torch.rand(batch, len(slots), len(slots), generator=generator)
    image = torch.randn(batch, channels, *patch, generator=generator)
    return Sample(
        image=image,
        dose=image[:, :1] + 0.1 * torch.randn(batch, 1, *patch, generator=generator),
        present=torch.ones(batch, channels, dtype=torch.bool),
        valid=torch.ones(batch, channels, *patch, dtype=torch.bool),
        nodes=nodes,
        node_valid=present,
        geometry=torch.randn(batch, len(slots), 6, generator=generator) * 5,
        edges=edges + edges.transpose(1, 2),
    )
