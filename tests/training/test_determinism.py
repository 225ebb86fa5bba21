"""What training asks of each kind of device, and leaves behind."""

import pytest
import torch

from reactkd_auto.training.determinism import deterministic


def choices():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        torch.get_float32_matmul_precision(),
    )


@pytest.mark.parametrize(("device", "inside"), [("cpu", (True, False)), ("cuda", (False, True))])
def test_choices_hold_inside_only_and_float32_is_never_shortened(device, inside):
    before = choices()
    with pytest.raises(KeyError), deterministic(torch.device(device)):
        assert choices() == (*inside, "highest")
        raise KeyError
    assert choices() == before
