"""A localiser applied to a whole coarse image: the same in training and in prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .dataset import Dataset
from .plan import Plan
from .preprocessing.normalise import normalise


def region_probabilities(
    localisers: Sequence[nn.Module], base: NDArray[np.int16], *, plan: Plan, dataset: Dataset, device: torch.device
) -> NDArray[np.float32]:
    """Softmax of every localiser, averaged.

    Args:
        localisers: At least one `networks.Localiser`, on the device.
        base: (z, y, x) base image at the localiser's spacing, as stored (real value / storage scale).
        plan: For the base's normalisation.
        dataset: For the base.
        device: Where to work.

    Returns:
        (regions + 1, z, y, x), background first.
    """
    name = dataset.base.name
    real = torch.from_numpy(base.astype(np.float32) * plan.normalisation[name].storage_scale)[None, None]
    image = normalise(real.to(device), dataset, plan, channels=(name,))
    with torch.no_grad():
        total = sum(torch.softmax(network(image).float(), dim=1) for network in localisers)
    assert isinstance(total, torch.Tensor)
    return np.asarray((total[0] / len(localisers)).cpu().numpy(), dtype=np.float32)
