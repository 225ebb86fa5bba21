"""Which operations run in which precision when a GPU that is not there is counted."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from reactkd_auto.networks.precision import FULL, HALF, CudaAutocast, full_precision

A, B = torch.rand(2, 8, 8, requires_grad=True), torch.rand(2, 8, 8)
VOLUME = torch.rand(1, 8, 4, 4, 4)
OPERATIONS = {
    "convolution": lambda a, b, v: functional.conv3d(v, torch.rand(4, 8, 3, 3, 3, device=v.device)),
    "linear": lambda a, b, v: functional.linear(a, b[0]),
    "product": lambda a, b, v: a @ b,
    "batched": lambda a, b, v: torch.bmm(a, b),
    "group norm": lambda a, b, v: nn.GroupNorm(4, 8, device=v.device)(v.bfloat16()),
    "softmax": lambda a, b, v: torch.softmax(a.bfloat16(), 1),
    "logarithm": lambda a, b, v: torch.log1p(a.bfloat16()),
    "smooth l1": lambda a, b, v: functional.smooth_l1_loss(a.bfloat16(), b.bfloat16()),
    "sum": lambda a, b, v: a.bfloat16().sum(),
    "mean": lambda a, b, v: a.bfloat16().mean(),
    "maximum": lambda a, b, v: a.bfloat16().amax(1),
    "multiplication": lambda a, b, v: a.bfloat16() * b.bfloat16(),
    "promotion": lambda a, b, v: a.bfloat16() * b,
    "sigmoid": lambda a, b, v: torch.sigmoid(a.bfloat16()),
}
EXPECTED = dict.fromkeys(OPERATIONS, torch.bfloat16) | dict.fromkeys(
    ("group norm", "softmax", "logarithm", "smooth l1", "sum", "promotion"), torch.float32
)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_run_in_the_precision_that_pytorch_documents(name):
    with CudaAutocast():
        assert OPERATIONS[name](A, B, VOLUME).dtype == EXPECTED[name]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_gpu_runs_them_in_the_same_precision(name):
    with torch.autocast("cuda", torch.bfloat16):
        assert OPERATIONS[name](A.cuda(), B.cuda(), VOLUME.cuda()).dtype == EXPECTED[name]


def test_no_operation_is_in_both_lists():
    assert not HALF & FULL


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_full_precision_switches_every_autocast_off(device):
    a = A.to(device)
    with CudaAutocast(), torch.autocast("cpu", torch.bfloat16):
        with full_precision(a):
            assert torch.bmm(a, a).dtype == torch.float32
        assert torch.bmm(a, a).dtype == torch.bfloat16
