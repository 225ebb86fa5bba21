"""Networks put together from a plan; every size that the plan does not say stands here.

Each builder draws initial weights from ``seed`` (default: the plan's) and leaves the global random state alone.
``channels_last=True`` returns the network in `torch.channels_last_3d`, the faster layout for 3D convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.plan import EncoderPlan, Plan
from reactkd_auto.regions.slots import node_slots

from . import swin
from .cbam3d import CBAM3D
from .covariates import CovariateBranch
from .encoder import ENCODERS
from .fusion import Branch, MissingToken
from .localiser import Localiser, localiser_classes
from .pooling import map_stages
from .readout import DECAY, RegionReadout
from .recompute import recompute_activations
from .segmenter import Segmenter
from .student import PresenceInput, Student
from .teachers import Teachers

LESION_KINDS = ("lesion", "other_lesions")
Network = TypeVar("Network", bound=nn.Module)


def build_teachers(
    plan: Plan, dataset: Dataset, *, seed: int | None = None, encoder: str = "segres", channels_last: bool = False
) -> Teachers:
    """Dose branch and, with a structure-function teacher, a branch for each privileged channel of the dataset.

    Raises:
        UserError: The plan's patch cannot be strided as planned.
    """
    _check_patch(plan)
    stages, width = map_stages(plan.network), plan.network.embedding_width
    privileged = dataset.privileged if plan.structure_function_teacher else ()
    names = ("dose", "structure", "fused") if privileged else ("dose",)
    informed = () if not dataset.covariates else ("structure", "fused") if privileged else ("fused",)
    with _seeded(plan.seed if seed is None else seed):
        teachers = Teachers(
            network=plan.network,
            cbam=CBAM3D(width),
            dose=_branch(plan, plan.network.teacher, in_channels=1, encoder=encoder),
            readouts={name: _readout(plan, dataset) for name in names},
            privileged={c: _branch(plan, plan.network.teacher, in_channels=2, encoder=encoder) for c in privileged},
            tokens={c: MissingToken(stages=len(stages), width=width) for c in privileged},
            covariates={n: _covariates(dataset) for n in informed},
        )
    return _finished(teachers, plan, channels_last)


def build_student(
    plan: Plan,
    dataset: Dataset,
    channels: tuple[str, ...] = (),
    *,
    covariates: bool = False,
    seed: int | None = None,
    encoder: str = "segres",
    channels_last: bool = False,
) -> Student:
    """Light student of the named channels (default: the base alone), with ``covariates`` also of the dataset's.

    Raises:
        UserError: An unknown channel, the base is not the first, or the patch cannot be strided as planned.
    """
    _check_patch(plan)
    count = len(student_channels(dataset, channels))
    with _seeded(plan.seed if seed is None else seed):
        presence = PresenceInput(count) if count > 1 else None
        in_channels = presence.out_channels if presence else 1
        student = Student(
            branch=_branch(plan, plan.network.student, in_channels=in_channels, encoder=encoder),
            cbam=CBAM3D(plan.network.embedding_width),
            readout=_readout(plan, dataset),
            presence=presence,
            covariates=_covariates(dataset) if covariates else None,
        )
    return _finished(student, plan, channels_last)


def build_localiser(plan: Plan, dataset: Dataset, *, seed: int | None = None, channels_last: bool = False) -> Localiser:
    """The coarse segmentation network; logits in the order of `localiser_classes`."""
    with _seeded(plan.seed if seed is None else seed):
        localiser = Localiser(len(localiser_classes(dataset)))
    return _finished(localiser, plan, channels_last)


def build_segmenter(
    plan: Plan, size: EncoderPlan, classes: int, *, seed: int | None = None, channels_last: bool = False
) -> Segmenter:
    """An encoder of this size on the base image, with a head that tells ``classes`` regions apart.

    Raises:
        UserError: The patch cannot be strided as planned.
    """
    _check_patch(plan)
    with _seeded(plan.seed if seed is None else seed):
        branch = _branch(plan, size, in_channels=1, encoder="segres")
        segmenter = Segmenter(branch, width=plan.network.embedding_width, classes=classes)
    return _finished(segmenter, plan, channels_last)


def student_channels(dataset: Dataset, channels: tuple[str, ...]) -> tuple[int, ...]:
    """Indices of a student's channels in the dataset, the base first; none named: the base alone.

    Raises:
        UserError: An unknown or doubled channel, or the base is not the first.
    """
    indices = tuple(dataset.channel_index(name) for name in channels) or (0,)
    if indices[0] != 0 or len(set(indices)) != len(indices):
        raise UserError(
            f"student channels {', '.join(channels)}: expected {dataset.base.name!r} first, then each channel once."
        )
    return indices


def _branch(plan: Plan, size: EncoderPlan, *, in_channels: int, encoder: str) -> Branch:
    if encoder not in ENCODERS:
        raise UserError(f"encoder {encoder!r} is unknown, expected one of {', '.join(ENCODERS)}.")
    network = plan.network
    size = swin.SIZES[plan.device] if encoder == "swin" else size
    built = ENCODERS[encoder](in_channels, size, network.strides)
    return Branch(built, stages=map_stages(network), width=network.embedding_width)


def _covariates(dataset: Dataset) -> CovariateBranch:
    return CovariateBranch(dataset.covariates, len(dataset.classes))


def _readout(plan: Plan, dataset: Dataset) -> RegionReadout:
    network = plan.network
    return RegionReadout(
        width=network.embedding_width,
        classes=len(dataset.classes),
        pooled=[stage in network.pooled_stages for stage in map_stages(network)],
        lesion_slots=[slot.kind in LESION_KINDS for slot in node_slots(plan.graph, dataset)],
        decay=DECAY ** (1 / plan.accumulation_steps),  # statistics of as many samples, in however many parts they come
    )


def _check_patch(plan: Plan) -> None:
    total = plan.network.cumulative_stride(len(plan.network.strides) - 1)
    if any(size % stride for size, stride in zip(plan.patch_size, total, strict=True)):
        raise UserError(
            f"patch_size {plan.patch_size} (z, y, x) is not a multiple of the network's total stride {total}; "
            "plan again with a patch size that is."
        )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Initial weights from the CPU generator at ``seed``; its state is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _finished(network: Network, plan: Plan, channels_last: bool) -> Network:
    if plan.checkpointing:
        recompute_activations(network)
    if channels_last:
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network
