"""How a model folder's name tells what differs from the preset by the call's options."""

from __future__ import annotations

from reactkd_auto.dataset import Dataset, check_safe_name
from reactkd_auto.errors import UserError
from reactkd_auto.training.preset import Preset, TeacherMode


def variant(preset: Preset, dataset: Dataset, teachers: TeacherMode | None, start: str | None) -> str | None:
    """What of a model differs from its preset by the call's options, as its folder is called.

    A student of several channels is called by all of them, last of all, such as ``in_sample_CT+FDG``: nothing else
    holds a ``+``, so names of different models differ, whatever the channels are called.

    Args:
        preset, dataset: Its own.
        teachers: That were asked for; None: as the preset says.
        start: `PretrainedFolder.variant`; None: from random weights.

    Raises:
        UserError: Teachers were asked for and the preset has none; a channel that the dataset does not have, or whose
            name cannot be part of a folder's.
    """
    if teachers and not preset.distil:
        raise UserError(f"teachers {teachers}: preset {preset.name} has none, expected one that learns from teachers.")
    mode = teachers if teachers != preset.teacher_mode else None
    covariates = "covariates" if preset.student_covariates else None
    channels = preset.channels(dataset)
    seen = _in_a_path(channels) if len(channels) > 1 else None
    return "_".join(part for part in (mode, covariates, start, seen) if part) or None


def _in_a_path(channels: tuple[str, ...]) -> str:
    try:
        for name in channels:
            check_safe_name(name, "channel name")
    except ValueError as error:
        raise UserError(f"--student_channels: {error}, because the model folder is called by it.") from None
    return "+".join(channels)
