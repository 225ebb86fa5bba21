"""Whether channels lie on the CT: measured on every case, and in words where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import Alignment, Registration
from reactkd_auto.imageio import RawCase
from reactkd_auto.registration.alignment import is_misaligned, measure_alignment, misalignment
from reactkd_auto.registration.load import registration_flag
from reactkd_auto.registration.window import marked_voxels


def alignments(raw: RawCase, dataset: Dataset) -> Mapping[str, Any]:
    """How each PET, MR or other channel lies on the CT; registered ones too."""
    if dataset.base.role != "ct":
        return {"alignments": {}}
    marked = marked_voxels(raw.regions, dataset)
    others = [(dataset.channels[i], image) for i, image in sorted(raw.images.items()) if i]
    found = {c.name: measure_alignment(raw.images[0], image, c.role, marked=marked) for c, image in others}
    return {"alignments": {name: alignment for name, alignment in found.items() if alignment is not None}}


def case_flags(found: Mapping[str, Alignment], registrations: Sequence[Registration]) -> tuple[str, ...]:
    """Sentences about channels that do not lie on the CT, and about sessions that are left out."""
    out_of_step = [misalignment(channel, a) for channel, a in found.items() if is_misaligned(a)]
    return (*filter(None, map(registration_flag, registrations)), *out_of_step)
