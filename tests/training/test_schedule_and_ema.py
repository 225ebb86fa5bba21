"""Learning rate and averaging against closed forms."""

import math
from itertools import pairwise

import pytest
import torch

from reactkd_auto.training.ema import Ema
from reactkd_auto.training.schedule import ema_decay, learning_rate


def test_learning_rate_warms_up_linearly_and_falls_by_half_a_cosine():
    rates = [learning_rate(i, 100, 1.0) for i in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5] == pytest.approx(1.0)
    assert rates[52] == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * 47 / 94)))
    assert rates[-1] == pytest.approx(0.01)
    assert all(a >= b for a, b in pairwise(rates[5:]))


@pytest.mark.parametrize("total", [1, 2, 3])
def test_learning_rate_of_very_short_runs_is_positive(total):
    assert all(0 < learning_rate(i, total, 1.0) <= 1.0 for i in range(total))


def test_ema_is_the_weighted_sum_of_all_weights():
    module = torch.nn.Linear(1, 1, bias=False)
    values = torch.randn(12, generator=torch.Generator().manual_seed(0)).tolist()
    with torch.no_grad():
        module.weight.fill_(values[0])
    ema, expected = Ema(module, decay=0.7), values[0]
    for i, value in enumerate(values[1:]):
        with torch.no_grad():
            module.weight.fill_(value)
        ema.update(module, i)
        d = min(0.7, (1 + i) / (10 + i))
        expected = d * expected + (1 - d) * value
    assert float(ema.module.weight) == pytest.approx(expected, rel=1e-5)
    assert not ema.module.weight.requires_grad


def test_ema_copies_buffers():
    module = torch.nn.Module()
    module.register_buffer("count", torch.tensor(0))
    ema = Ema(module, decay=0.9)
    module.count.fill_(7)
    ema.update(module, 0)
    assert int(ema.module.count) == 7


def test_ema_decay_grows_to_its_limit():
    assert ema_decay(0, 0.99) == pytest.approx(0.1)
    assert ema_decay(10_000, 0.99) == 0.99
