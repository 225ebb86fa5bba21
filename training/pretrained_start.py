"""Training that begins with pretrained encoders: whether they fit, who takes which weights, what it is called."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import content_hash, read_document
from reactkd_auto.networks import Student, Teachers, load_state, load_weights
from reactkd_auto.plan import Plan
from reactkd_auto.training.lora import add_updates
from reactkd_auto.training.preset import Preset, read_teacher_recipe
from reactkd_auto.training.pretrained import FILE, ROLES, Pretrained, digest, encoder_shape, weights_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainedFolder:
    """A folder that ``reactkd_pretrain`` has filled.

    Attributes:
        path: The folder.
        document: Its ``pretrained.json``.
        lora_rank: Of the updates that frozen pretrained convolutions learn; None: they are trained in full.
    """

    path: Path
    document: Pretrained
    lora_rank: int | None = None

    @property
    def variant(self) -> str:
        """What sets folders of models and teachers apart that begin with such weights."""
        return f"pretrained_lora{self.lora_rank}" if self.lora_rank else "pretrained"

    @property
    def settings(self) -> dict[str, Any]:
        """What the result of a training that begins with these weights depends on."""
        rank = {"LoRA rank": self.lora_rank} if self.lora_rank else {}
        return {"pretrained": content_hash(self.document.sha256), **rank}

    def tell_seen(self, dataset: str, fold: int, held_out: Sequence[str]) -> None:
        """Warn of held-out cases that the encoders have seen."""
        seen = set(held_out) & set(self.document.cases) if self.document.dataset == dataset else set()
        if seen:
            logger.warning(
                "fold %d: encoders were pretrained on %d of its %d held-out cases (images and regions, no classes), so "
                "held-out figures may be too good; reactkd_pretrain --ungraded_only leaves them out.",
                *(fold, len(seen), len(held_out)),
            )

    def start(self, network: Teachers | Student, *, seed: int) -> None:
        """Give the pretrained weights to a network's encoders and, with a rank, let these learn updates only.

        An encoder that sees the base image alone takes all of them; one that sees further channels those whose shapes
        fit, which are all but its first convolution's.

        Args:
            network: Changed in place.
            seed: Of what is random in the updates.

        Raises:
            UserError: A file of weights is missing or broken, or holds those of another encoder.
        """
        teachers = isinstance(network, Teachers)
        path = weights_file(self.path, "teacher" if teachers else "student")
        for name, encoder in _encoders(network).items():
            taken = _give(path, encoder, whole=_sees_base_alone(network, name))
            logger.info(
                "%s %s: encoder begins with %d of %d pretrained weights (%s)%s.",
                *("teachers," if teachers else "student,", name, len(taken), len(encoder.state_dict()), path),
                _without(encoder, taken),
            )
            if self.lora_rank:
                count = add_updates(encoder, taken, rank=self.lora_rank, seed=seed)
                logger.info("%d of its convolutions are frozen and learn updates of rank %d.", count, self.lora_rank)


def open_pretrained(
    folder: Path, plan: Plan, dataset: Dataset, preset: Preset, *, lora_rank: int | None
) -> PretrainedFolder:
    """Read a folder and check that its encoders are those of this plan.

    Args:
        folder: That ``reactkd_pretrain`` has filled.
        plan, dataset, preset: Of the training that is to begin with it.
        lora_rank: See `PretrainedFolder`.

    Raises:
        UserError: Not such a folder, weights other than those that it names, encoders of another shape.
    """
    path = folder / FILE
    document = read_document(Pretrained, path)
    if preset.teachers and (wanted := read_teacher_recipe(preset.teachers).encoder) != "segres":
        raise UserError(f"{path}: holds segres encoders, expected {wanted} ones for teachers of preset {preset.name}.")
    expected = encoder_shape(plan, dataset)
    for name, value in vars(expected).items():
        if (found := getattr(document.shape, name)) != value:
            raise UserError(
                f"{path}: its encoders have {name} {found}, expected {value} as planned here; pretrain by this plan, "
                "or plan both datasets with the same --spacing and --patch_size."
            )
    for role in ROLES:
        if digest(weights_file(folder, role)) != document.sha256.get(role):
            raise UserError(f"{weights_file(folder, role)}: not the weights that {FILE} names, expected those.")
    return PretrainedFolder(folder, document, lora_rank)


def _encoders(network: Teachers | Student) -> dict[str, nn.Module]:
    """A network's encoders by the name of their branch."""
    if isinstance(network, Student):
        return {"branch": network.branch.get_submodule("encoder")}
    branches = {"dose": network.dose, **{f"privileged.{name}": b for name, b in network.privileged.items()}}
    return {name: branch.get_submodule("encoder") for name, branch in branches.items()}


def _give(path: Path, encoder: nn.Module, *, whole: bool) -> set[str]:
    """Load a file's weights into an encoder, all of them or those that fit; returns the names of those loaded.

    Raises:
        UserError: The file is missing or broken, or not all fit that must.
    """
    if whole:
        load_weights(path, encoder)
        return set(encoder.state_dict())
    own = encoder.state_dict()
    fitting: dict[str, Tensor] = {n: w for n, w in load_state(path).items() if n in own and w.shape == own[n].shape}
    encoder.load_state_dict({**own, **fitting})
    return set(fitting)


def _sees_base_alone(network: Teachers | Student, name: str) -> bool:
    return network.presence is None if isinstance(network, Student) else name == "dose"


def _without(encoder: nn.Module, taken: set[str]) -> str:
    left_out = sorted(set(encoder.state_dict()) - taken)
    return f", without {', '.join(left_out)}, which sees further channels" if left_out else ""
