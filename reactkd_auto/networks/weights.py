"""Weights on disk: safetensors, which hold numbers and never code, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import atomic_path


def save_weights(path: Path, network: nn.Module) -> None:
    """Write a network's weights (or the EMA weights loaded into it), atomically.

    Raises:
        UserError: The file could not be written.
    """
    save_state(path, network.state_dict())


def save_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dictionary, atomically.

    Raises:
        UserError: The file could not be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic_path(Path(path), failures=(SafetensorError,)) as temporary:
        save_file(tensors, str(temporary))


def load_weights(path: Path, network: nn.Module) -> None:
    """Read weights into a network of the same shape.

    Raises:
        UserError: No such file, a truncated or foreign one, or weights of another network.
    """
    state = load_state(path)
    expected = network.state_dict()
    if missing := sorted(set(expected) - set(state)):
        raise UserError(
            f"{path}: weights {missing[0]!r} are missing ({len(missing)} in all), expected those of "
            f"a {type(network).__name__} of this plan."
        )
    if unknown := sorted(set(state) - set(expected)):
        raise UserError(
            f"{path}: found unknown weights {unknown[0]!r} ({len(unknown)} in all), expected those of "
            f"a {type(network).__name__} of this plan."
        )
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            raise UserError(
                f"{path}: weights {name!r} have shape {tuple(state[name].shape)}, "
                f"expected {tuple(tensor.shape)} by this plan."
            )
    network.load_state_dict(state)


def load_state(path: Path) -> dict[str, Tensor]:
    """Read a state dictionary onto the CPU.

    Raises:
        UserError: No such file, or not whole safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, Tensor] = load_file(str(path), device="cpu")
    except FileNotFoundError:
        raise UserError(f"{path}: file not found, expected network weights.") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not readable as safetensors ({error}), expected whole network weights.") from None
    return state
