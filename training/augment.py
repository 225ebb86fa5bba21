"""One batched augmentation for both devices: pure, given its parameters.

Order: dose noise (on the un-warped array, so that its correlation is that of the scanner), one affine resampling of
images, dose views, validity and nodes together, mirroring (part of the affine), intensities, normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from reactkd_auto.dataset import Dataset
from reactkd_auto.dose import draw_dose_noise
from reactkd_auto.plan import Plan
from reactkd_auto.preprocessing.batch import Batch, centre_window
from reactkd_auto.preprocessing.normalise import normalise
from reactkd_auto.training.augment_params import AugmentationParams


@dataclass(frozen=True)
class Views:
    """An augmented batch, as networks see it. P = patch size.

    Attributes:
        image: Normalised (B, C, P), base at full dose.
        doses: Normalised (B, V, P), the base image at V dose fractions, ascending.
        valid: bool (B, C, P).
        present: bool (B, C); of training views on the CPU, where what depends on it is decided without waiting.
        nodes: uint8 (B, 3, P).
        node_valid: bool (B, N).
        geometry: (B, N, 6).
        edges: (B, N, N).
        label: int64 (B,), −1 for ungraded.
        covariates: (B, V), NaN if missing; None where the dataset has none.
    """

    image: Tensor
    doses: Tensor
    valid: Tensor
    present: Tensor
    nodes: Tensor
    node_valid: Tensor
    geometry: Tensor
    edges: Tensor
    label: Tensor
    covariates: Tensor | None = None

    def rows(self, place: Tensor) -> Views:
        """Some samples of the batch; ``place`` lies on the CPU."""
        there = place.to(self.label.device, non_blocking=True)
        tensors = {name: value for name, value in vars(self).items() if value is not None}
        return Views(**{name: v[place if v.device == place.device else there] for name, v in tensors.items()})


def apply(batch: Batch, params: AugmentationParams, *, plan: Plan, dataset: Dataset) -> Views:
    """Augment a batch of stored arrays (patch + 2 × context) to the patch size.

    Parameters that change nothing give exactly the centre of the stored arrays.
    """
    images, valid, nodes = torch.cat([batch.image, _dose_views(batch, params, plan)], 1), batch.valid, batch.nodes
    if params.moves:
        grid = _grid(batch, params, plan)
        images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
        valid = _marks(valid, grid).bool()
        nodes = _marks(nodes, grid - _region_offset(batch, params, plan))
    else:
        window = (slice(None), slice(None), *centre_window(plan))
        images, valid, nodes = images[window], valid[window], nodes[window]
    channels = batch.image.shape[1]
    image, doses = _intensities(images[:, :channels], images[:, channels:], params, dataset)
    return Views(
        image=normalise(image, dataset, plan),
        doses=_normalise_base(doses, plan, dataset),
        valid=valid,
        present=batch.present,
        nodes=nodes,
        node_valid=batch.node_valid,
        geometry=batch.node_geometry,
        edges=batch.edges,
        label=batch.label,
        covariates=batch.covariates,
    )


def centred(batch: Batch, plan: Plan) -> Batch:
    """The centre of the stored arrays, of the patch size: what prediction sees."""
    window = (slice(None), slice(None), *centre_window(plan))
    arrays = {name: getattr(batch, name)[window] for name in ("image", "valid", "nodes", "noise", "log_ratio")}
    return replace(batch, **arrays)


def _dose_views(batch: Batch, params: AugmentationParams, plan: Plan) -> Tensor:
    """(B, V, stored size) in HU: base + noise. Full dose is the base itself, bit for bit."""
    views = params.dose.shape[1]
    base = batch.image[:, :1].expand(-1, views, -1, -1, -1)
    if not plan.dose.enabled or not batch.noise.shape[1] or bool((params.dose == 1).all()):
        return base
    device = batch.image.device
    log_levels, dose, phase = (
        values.to(device, non_blocking=True)
        for values in (torch.tensor(plan.dose.levels).log(), params.dose, params.phase)
    )
    noise = [draw_dose_noise(batch.noise, batch.log_ratio, log_levels, dose[:, v], phase[:, v]) for v in range(views)]
    return base + torch.cat(noise, 1)


def _normalise_base(doses: Tensor, plan: Plan, dataset: Dataset) -> Tensor:
    views = doses.shape[1]
    return torch.cat(
        [normalise(doses[:, v : v + 1], dataset, plan, channels=(dataset.base.name,)) for v in range(views)], 1
    )


def _grid(batch: Batch, params: AugmentationParams, plan: Plan) -> Tensor:
    """Where each voxel of the patch comes from, in the stored array: (B, z, y, x, 3), for `grid_sample`.

    With offsets from the centre in voxels, source = D⁻¹ (s R) D M output + D⁻¹ t; D: spacing, s: scale, R: rotation
    about z in mm, M: mirrors, t: shift. `affine_grid` wants it in units of half the array's extent, x first.
    """
    spacing = torch.tensor(plan.spacing_mm)
    cos, sin = params.rotation.cos() * params.scale, params.rotation.sin() * params.scale
    zero = torch.zeros_like(cos)
    rows = [[params.scale, zero, zero], [zero, cos, -sin], [zero, sin, cos]]
    turned = torch.stack([torch.stack(row, -1) for row in rows], -2)
    signs = 1.0 - 2.0 * params.mirror.float()
    matrix = turned * spacing[None, None, :] / spacing[None, :, None] * signs[:, None, :]
    shift = params.shift_mm / spacing
    patch, stored = torch.tensor(plan.patch_size), torch.tensor(batch.image.shape[2:])
    theta = torch.cat([matrix * patch / stored[:, None], (2 * shift / stored)[:, :, None]], 2)
    theta = torch.cat([theta[:, :, :3].flip(1, 2), theta[:, :, 3:].flip(1)], 2).to(batch.image, non_blocking=True)
    size = [len(theta), 1, *plan.patch_size]
    return functional.affine_grid(theta, size, align_corners=False)


def _region_offset(batch: Batch, params: AugmentationParams, plan: Plan) -> Tensor:
    """Shift of the region map in the units of `_grid`: (B, 1, 1, 1, 3), x first."""
    stored = torch.tensor(batch.image.shape[2:])
    offset = 2 * params.region_shift_mm / torch.tensor(plan.spacing_mm) / stored
    return offset.flip(1).to(batch.image, non_blocking=True)[:, None, None, None, :]


def _marks(marks: Tensor, grid: Tensor) -> Tensor:
    """uint8 marks at the nearest stored voxel, 0 beyond."""
    taken = functional.grid_sample(
        marks.to(grid.dtype), grid, mode="nearest", padding_mode="zeros", align_corners=False
    )
    return taken.to(torch.uint8)


def _intensities(image: Tensor, doses: Tensor, params: AugmentationParams, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Shift a CT's HU; change gain, offset and gamma of other channels. Values stay in real units."""
    parts: list[Tensor] = []
    for c, channel in enumerate(dataset.channels):
        x = image[:, c : c + 1]
        if channel.role == "ct":
            x, doses = x + _like(params.hu_shift, x), doses + _like(params.hu_shift, x)
        elif channel.role != "binary_mask":
            if bool((params.gamma[:, c] != 1).any()):
                x = x.sign() * x.abs() ** _like(params.gamma[:, c], x)
            x = _like(params.gain[:, c], x) * x + _like(params.offset[:, c], x)
        parts.append(x)
    return torch.cat(parts, 1), doses


def _like(values: Tensor, x: Tensor) -> Tensor:
    return values.to(x, non_blocking=True)[:, None, None, None, None]
