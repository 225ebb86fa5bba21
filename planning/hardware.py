"""The device that a plan is made for."""

from __future__ import annotations

from reactkd_auto.device import choose_device
from reactkd_auto.errors import UserError
from reactkd_auto.planning.rules.hardware import Hardware


def choose_hardware(device: str, gpu_memory_gb: float | None) -> Hardware:
    """The device asked for; a GPU whose memory is given need not be in this machine.

    Raises:
        UserError: ``cuda`` without a GPU and without its memory; or memory of a GPU in a plan for a CPU.
    """
    if gpu_memory_gb is not None:
        if device == "cpu":
            raise UserError(f"--gpu_memory_gb {gpu_memory_gb:g}: the plan is for a CPU, expected --device cuda.")
        return Hardware("cuda", gpu_memory_gb)
    chosen = choose_device(device)
    if chosen.type == "cpu":
        return Hardware("cpu")
    import torch

    return Hardware("cuda", round(torch.cuda.get_device_properties(chosen).total_memory / 2**30, 1))
