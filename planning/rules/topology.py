"""Strides, stages and widths of the encoders."""

from __future__ import annotations

import itertools
import math
from typing import Literal

from reactkd_auto.plan import EncoderPlan, NetworkPlan, Triple, TripleMm
from reactkd_auto.planning.cohort import Cohort
from reactkd_auto.planning.rules.lesions import typical_diameter
from reactkd_auto.planning.triples import mean_mm, triple, triple_mm

STAGES = 4
SMALLEST_GRID = 4
"""Feature voxels that the deepest stage keeps along every axis."""
STEM_VOXELS_PER_LESION = 3
FREE_PATCH = {"cpu": 2**15, "cuda": 2**21}
"""Patches up to so many voxels are worth their full resolution."""
ANISOTROPY = 2.0
STUDENT_PARAMETERS = 2_000_000
EMBEDDING_WIDTH = {"cpu": 32, "cuda": 64}
"""On a CPU, maps of that width at the finest grid are what a step waits for: memory, not arithmetic."""


def stem_stride(
    patch: Triple, spacing: TripleMm, diameter: float | None, device: Literal["cuda", "cpu"]
) -> tuple[Triple, str]:
    """Stride 2 in the stem where full resolution costs much and a typical lesion does not need it."""
    if math.prod(patch) <= FREE_PATCH[device]:
        return (1, 1, 1), "the stem keeps full resolution: the patch is small enough for it"
    coarsest = math.inf if diameter is None else diameter / STEM_VOXELS_PER_LESION
    stem = triple(
        2 if n >= 4 * SMALLEST_GRID and n % 2 == 0 and 2 * s <= coarsest else 1
        for n, s in zip(patch, spacing, strict=True)
    )
    if stem == (1, 1, 1):
        return stem, f"the stem keeps full resolution: a 25th-percentile lesion of {diameter or 0:.0f} mm needs it"
    kept = "there are no lesions to resolve"
    if diameter is not None:
        kept = f"a 25th-percentile lesion of {diameter:.0f} mm still spans {STEM_VOXELS_PER_LESION} feature voxels"
    return stem, f"the stem halves the grid, because full resolution costs most of the time and {kept}"


def encoder_strides(patch: Triple, spacing: TripleMm, stem: Triple, *, exact: bool = False) -> tuple[Triple, ...]:
    """The stem's stride and those of further stages.

    An axis is halved while its feature spacing is at most `ANISOTROPY` × the finest (so that features become
    isotropic) and at least `SMALLEST_GRID` feature voxels remain.

    Args:
        patch: Voxels (z, y, x).
        spacing: Of the patch, mm.
        stem: First stride.
        exact: The patch may not be rounded up, so only what divides it is halved.
    """
    strides, total = [stem], list(stem)
    while len(strides) < STAGES:
        open_axes = [
            a
            for a in range(3)
            if math.ceil(patch[a] / (2 * total[a])) >= SMALLEST_GRID and not (exact and patch[a] % (2 * total[a]))
        ]
        if not open_axes:
            break
        finest = min(spacing[a] * total[a] for a in open_axes)
        halved = [a for a in open_axes if spacing[a] * total[a] <= ANISOTROPY * finest]
        strides.append(triple(2 if a in halved else 1 for a in range(3)))
        total = [t * s for t, s in zip(total, strides[-1], strict=True)]
    return tuple(strides)


def stride_product(strides: tuple[Triple, ...]) -> Triple:
    """Voxels of the patch in one voxel of the deepest stage."""
    return triple(math.prod(s[a] for s in strides) for a in range(3))


def network(
    cohort: Cohort, strides: tuple[Triple, ...], stem_reason: str, spacing: TripleMm, device: Literal["cuda", "cpu"]
) -> tuple[NetworkPlan, str]:
    """Encoders of teachers and student on one set of grids, and the stages that regions are pooled from."""
    stages = len(strides)
    teacher = EncoderPlan(16, (1,) * stages) if device == "cpu" else EncoderPlan(32, (1, 2, 2, 4)[:stages])
    widths = (12, 8) if device == "cpu" else (24, 16, 12, 8)
    light = (1,) * stages
    width = next((w for w in widths if encoder_parameters(w, light) <= STUDENT_PARAMETERS), widths[-1])
    plan = NetworkPlan(strides, teacher, EncoderPlan(width, light), EMBEDDING_WIDTH[device], pooled_stages=(0,))
    pooled, why = pooled_stages(cohort, plan, spacing)
    plan = NetworkPlan(strides, teacher, plan.student, plan.embedding_width, pooled)
    return plan, (
        f"{stages} stages until {SMALLEST_GRID} or more feature voxels remain along each axis, coarse axes halved "
        f"later; {stem_reason}; teacher width {teacher.width} ({'CPU' if device == 'cpu' else 'GPU'}), student width "
        f"{width} keeps it below {STUDENT_PARAMETERS // 10**6} million parameters; {why}"
    )


def pooled_stages(cohort: Cohort, network: NetworkPlan, spacing: TripleMm) -> tuple[tuple[int, ...], str]:
    """Stages where a 25th-percentile lesion is at least one feature voxel large; always the finest."""
    diameter = typical_diameter(cohort, spacing)
    if diameter is None:
        return (0,), "without lesions only the finest stage is pooled over regions"
    sizes = [
        mean_mm(triple_mm(s * t for s, t in zip(spacing, network.cumulative_stride(k), strict=True)))
        for k in range(len(network.strides))
    ]
    stages = (0, *(k for k, size in enumerate(sizes) if k > 0 and diameter >= size))
    return stages, (
        f"regions are pooled from stages {', '.join(map(str, stages))}, where a 25th-percentile lesion "
        f"({diameter:.0f} mm) is at least one feature voxel ({', '.join(f'{s:.1f}' for s in sizes)} mm)"
    )


def encoder_parameters(width: int, blocks: tuple[int, ...]) -> int:
    """Convolution weights of an encoder that doubles its width: two 3×3×3 a block, one 3×3×3 between stages."""
    widths = [width * 2**k for k in range(len(blocks))]
    inside = sum(54 * b * w * w for w, b in zip(widths, blocks, strict=True))
    return inside + sum(27 * a * b for a, b in itertools.pairwise(widths))
