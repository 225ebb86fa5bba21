"""What the loop over slices must not do on CUDA: wait for the device, compute in float64."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reactkd_auto.dose.degrade import added_noise
from reactkd_auto.dose.synthesis import noise_model

WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique", "masked_select")
LARGE = 2000
"""Elements; tables and flux are smaller."""


class Watch(TorchDispatchMode):
    """Collects operations that read values on the host, and large float64 results."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        double = any(t.dtype in (torch.float64, torch.complex128) and t.numel() > LARGE for t in tensors)
        if name in WAITS or double:
            self.found.append(name)
        return result


def _model(tools, device):
    hu = np.stack([tools.picture(tools.HIPS, 128, 3.2)] * 5)
    calibration = dataclasses.replace(tools.Scanner(2e5).calibration(), z_taps=(0.6, 0.8, 0.0), tube_modulation=0.3)
    return noise_model(hu, calibration, spacing=(3.0, 3.2, 3.2), doses=[0.25, 0.1], device=torch.device(device))


@pytest.mark.parametrize("coupling", ["shared", "nested", "independent"])
def test_the_loop_reads_nothing_back_and_computes_in_single_precision(tools, coupling):
    model = _model(tools, "cpu")
    list(added_noise(model, [0.25, 0.1], (1, ""), coupling=coupling, last=1))
    with Watch() as watch:
        list(added_noise(model, [0.25, 0.1], (1, ""), coupling=coupling, first=1))
    assert watch.found == []


def test_the_watch_notices_what_it_is_for():
    values = torch.ones(LARGE + 1)
    with Watch() as watch:
        values.sum().item()
        values.double()
        values.nonzero()
    assert watch.found == ["_local_scalar_dense", "_to_copy", "nonzero"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_loop_does_not_wait_for_the_device(tools):
    model = _model(tools, "cuda")
    model = dataclasses.replace(model, volume=torch.from_numpy(model.volume).cuda())
    list(added_noise(model, [0.25, 0.1], (1, "")))
    torch.cuda.set_sync_debug_mode("error")
    try:
        list(added_noise(model, [0.25, 0.1], (2, "")))
    finally:
        torch.cuda.set_sync_debug_mode("default")
