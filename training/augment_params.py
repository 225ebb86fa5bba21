"""Random changes of a batch, drawn first: plain numbers that can be recorded and replayed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import AugmentationPlan, DosePlan, Plan

FULL_DOSE_SHARE = 0.25
WARPED_SHARE = 0.4
"""Interpolation blurs texture, and prediction sees images that are not interpolated: most samples stay sharp."""
PERTURBED_SHARE = 0.5
"""Of region maps. Those that the localiser will draw are right to about half a voxel of its grid."""
HU_SHIFT = 10.0
LOG_GAIN = {"ct": 0.0, "binary_mask": 0.0, "pet_suv": 0.1, "mr": 0.2, "other": 0.2}
OFFSET = {"ct": 0.0, "binary_mask": 0.0, "pet_suv": 0.0, "mr": 0.1, "other": 0.1}
LOG_GAMMA = {"ct": 0.0, "binary_mask": 0.0, "pet_suv": 0.0, "mr": 0.2, "other": 0.2}


@dataclass(frozen=True)
class AugmentationParams:
    """One row a sample; B samples, C channels, V dose views. All on the CPU.

    Attributes:
        rotation: (B,) radians about z.
        scale: (B,) 1.1 shows 10 % more tissue, smaller.
        shift_mm: (B, 3) of the window's centre, z, y, x.
        region_shift_mm: (B, 3) of the region map against the image, z, y, x.
        mirror: bool (B, 3), axes z, y, x.
        dose: (B, V) dose fractions, ascending in each row.
        phase: (B, V) radians, mixes the two stored realisations of noise.
        hu_shift: (B,) HU, added to the base image where it is a CT.
        gain, offset, gamma: (B, C) of channels other than the base: gain · sign(x) |x|^gamma + offset.
    """

    rotation: Tensor
    scale: Tensor
    shift_mm: Tensor
    region_shift_mm: Tensor
    mirror: Tensor
    dose: Tensor
    phase: Tensor
    hu_shift: Tensor
    gain: Tensor
    offset: Tensor
    gamma: Tensor

    @property
    def moves(self) -> bool:
        """Whether any sample's geometry is changed."""
        still = (self.rotation == 0).all() & (self.scale == 1).all() & (self.shift_mm == 0).all() & ~self.mirror.any()
        return not bool(still & (self.region_shift_mm == 0).all())

    def rows(self, place: slice) -> AugmentationParams:
        """Of some samples."""
        return AugmentationParams(**{name: value[place] for name, value in vars(self).items()})


def identity_params(samples: int, *, channels: int, doses: int) -> AugmentationParams:
    """Parameters that change nothing: the centre of the stored arrays at full dose."""
    return AugmentationParams(
        rotation=torch.zeros(samples),
        scale=torch.ones(samples),
        shift_mm=torch.zeros(samples, 3),
        region_shift_mm=torch.zeros(samples, 3),
        mirror=torch.zeros(samples, 3, dtype=torch.bool),
        dose=torch.ones(samples, doses),
        phase=torch.zeros(samples, doses),
        hu_shift=torch.zeros(samples),
        gain=torch.ones(samples, channels),
        offset=torch.zeros(samples, channels),
        gamma=torch.ones(samples, channels),
    )


def make_params(
    generator: torch.Generator, samples: int, *, plan: Plan, dataset: Dataset, doses: int
) -> AugmentationParams:
    """Draw parameters for a batch.

    Args:
        generator: On the CPU; the only source of randomness, so the device changes nothing.
        samples: B.
        plan: Largest changes, dose range.
        dataset: Roles of the channels.
        doses: V, dose views wanted.
    """
    a = plan.augmentation
    roles: list[str] = [c.role for c in dataset.channels]
    shape = (samples, len(roles))
    warped = torch.rand(samples, generator=generator) < WARPED_SHARE
    rotation = math.radians(a.rotation_degrees) * _uniform(generator, samples) * warped
    scale = 1 + a.scale * _uniform(generator, samples) * warped
    shift = _shift(generator, warped, plan)
    mirror = _mirror(generator, samples, a)
    dose, phase = _doses(generator, samples, doses, plan.dose)
    region_shift = _region_shift(generator, samples, plan)
    return AugmentationParams(
        rotation=rotation,
        scale=scale,
        shift_mm=shift,
        region_shift_mm=region_shift,
        mirror=mirror,
        dose=dose,
        phase=phase,
        hu_shift=(HU_SHIFT if roles[0] == "ct" else 0.0) * _uniform(generator, samples),
        gain=(_of_roles(LOG_GAIN, roles) * _uniform(generator, *shape)).exp(),
        offset=_of_roles(OFFSET, roles) * _uniform(generator, *shape),
        gamma=(_of_roles(LOG_GAMMA, roles) * _uniform(generator, *shape)).exp(),
    )


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """Uniform in −1…1."""
    return 2 * torch.rand(*shape, generator=generator) - 1


def _shift(generator: torch.Generator, warped: Tensor, plan: Plan) -> Tensor:
    """(B, 3) mm, uniform; a sample that is not warped otherwise moves by whole voxels, so that it stays sharp."""
    shift = plan.augmentation.shift_mm * _uniform(generator, len(warped), 3)
    spacing = torch.tensor(plan.spacing_mm)
    return torch.where(warped[:, None], shift, (shift / spacing).trunc() * spacing)


def _region_shift(generator: torch.Generator, samples: int, plan: Plan) -> Tensor:
    """(B, 3) mm, uniform in ± half a voxel of the localiser, for some; 0 where no localiser will draw regions."""
    shift = _uniform(generator, samples, 3) * torch.tensor(plan.localiser.spacing_mm) / 2
    perturbed = torch.rand(samples, generator=generator) < PERTURBED_SHARE
    return shift * perturbed[:, None] * float(plan.localiser.enabled)


def _mirror(generator: torch.Generator, samples: int, plan: AugmentationPlan) -> Tensor:
    allowed = torch.tensor([axis in plan.mirror_axes for axis in range(3)])
    return (torch.rand(samples, 3, generator=generator) < 0.5) & allowed


def _doses(generator: torch.Generator, samples: int, doses: int, plan: DosePlan) -> tuple[Tensor, Tensor]:
    """First view log-uniform in the planned range, each further one between the last one and full dose.

    A quarter of the views is at full dose. Phases are uniform in 0…2π.
    """
    share, full = torch.rand(samples, doses, generator=generator), torch.rand(samples, doses, generator=generator)
    phase = 2 * math.pi * torch.rand(samples, doses, generator=generator)
    if not plan.enabled:
        return torch.ones(samples, doses), phase
    lowest, views = torch.full((samples,), math.log(plan.range[0])), []
    for v in range(doses):
        drawn = torch.where(
            full[:, v] < FULL_DOSE_SHARE, 0.0, lowest + (math.log(plan.range[1]) - lowest) * share[:, v]
        )
        views.append(drawn.exp())
        lowest = drawn
    return torch.stack(views, 1), phase


def _of_roles(table: dict[str, float], roles: list[str]) -> Tensor:
    return torch.tensor([table[role] for role in roles])
