"""Random samples that lie on the device: training on them shows what loading costs."""

from __future__ import annotations

import torch

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import Plan
from reactkd_auto.preprocessing.batch import Batch
from reactkd_auto.regions.slots import node_slots
from reactkd_auto.training.loader import Arrays

_SPREAD_HU, _NOISE_HU = 100.0, 10.0


def random_arrays(plan: Plan, dataset: Dataset, *, seed: int, device: torch.device) -> Arrays:
    """A batch of the planned size and shape with every channel and region; classes take turns.

    Regions are slabs along z, one a node slot, so that none is empty. Which channels there are stays on the CPU, as of
    batches that are loaded.
    """
    generator = torch.Generator().manual_seed(seed)
    samples, channels, slots = plan.batch_size, len(dataset.channels), len(node_slots(plan.graph, dataset))
    grid = tuple(n + 2 * c for n, c in zip(plan.patch_size, plan.context_voxels, strict=True))
    levels = len(plan.dose.levels)
    slab = 1 + torch.arange(grid[0]) * max(slots, 1) // grid[0] if slots else torch.zeros(grid[0])
    nodes = torch.zeros(samples, 3, *grid, dtype=torch.uint8)
    nodes[:, 0] = slab.to(torch.uint8)[:, None, None]
    batch = Batch(
        case=[f"random_{i}" for i in range(samples)],
        image=_SPREAD_HU * torch.randn(samples, channels, *grid, generator=generator),
        valid=torch.ones(samples, channels, *grid, dtype=torch.bool),
        present=torch.ones(samples, channels, dtype=torch.bool),
        nodes=nodes,
        node_valid=torch.ones(samples, slots, dtype=torch.bool),
        node_geometry=torch.zeros(samples, slots, 6),
        edges=torch.ones(samples, slots, slots),
        noise=_NOISE_HU * torch.randn(samples, 2 if levels else 0, *grid, generator=generator),
        log_ratio=torch.zeros(samples, levels, *grid),
        label=torch.arange(samples) % len(dataset.classes),
    )
    return {"names": batch.case, **vars(batch.to(device)), "present": batch.present}
