"""How many region nodes there are (METHOD.md section 2)."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from reactkd_auto.fingerprint import RING_WIDTHS_MM
from reactkd_auto.plan import GraphPlan, NetworkPlan, RingMode, Triple, TripleMm
from reactkd_auto.planning.cohort import REGION_SHARE_NEEDED, Cohort
from reactkd_auto.planning.rules.lesions import diameter, kept_lesions, smallest_lesion
from reactkd_auto.planning.triples import mean_mm, triple_mm

MOST_LESIONS = 16
NODE_BUDGET = 32
MERGE_RINGS_ABOVE = 4
RING_SHARE_NEEDED = 0.6
DEFAULT_SIGMA_MM = 20.0
NO_PARCELS: Triple = (0, 0, 0)
PARCELS: tuple[Triple, ...] = ((3, 2, 2), (2, 2, 2), (2, 1, 2), (1, 1, 2), NO_PARCELS)
"""Splits along S–I, A–P, R–L: 12, 8, 4, 2 or no parcels."""
PARCELS_BY_PATIENTS = ((50, 2), (100, 4), (300, 8))


def graph(cohort: Cohort, network: NetworkPlan, spacing: TripleMm) -> tuple[GraphPlan, str]:
    """Numbers of nodes of each kind, within the node budget."""
    regions = cohort.dataset.regions
    smallest = smallest_lesion(spacing)
    kept = kept_lesions(cohort, smallest)
    organ = bool(cohort.organ_volumes_mm3)
    parcels, why_parcels = parcel_splits(cohort, network, spacing)
    lesions, why_lesions = lesion_nodes(kept)
    width = ring_width(network, spacing)
    rings, why_rings = ring_mode(cohort, lesions, width, smallest)
    sigma, why_sigma = edge_sigma(cohort)
    plan = GraphPlan(
        enabled=cohort.node_share >= REGION_SHARE_NEEDED,
        organ=organ,
        parcels=parcels,
        lesions=lesions,
        rings=rings,
        ring_width_mm=width,
        other_lesions=any(len(case) > lesions for case in kept),
        context=cohort.dataset.region_values("context"),
        smallest_lesion_mm3=smallest,
        edge_sigma_mm=sigma,
    )
    plan, shrunk = within_budget(plan)
    kind = "a context region (dataset.json names no others)" if cohort.only_context else "an organ or lesion region"
    share = f"{cohort.node_share:.0%} of the cases have {kind}"
    if not plan.enabled:
        return plan, f"off (logits only are distilled): {share}, {REGION_SHARE_NEEDED:.0%} are needed" + (
            "" if regions else "; dataset.json names no regions"
        )
    return plan, (
        f"{share}; {why_lesions}; lesions below {smallest:.0f} mm³ are left out, but never a case's largest; "
        f"{why_parcels}; {why_rings}; {why_sigma}; {node_count(plan)} nodes of at most {NODE_BUDGET}{shrunk}"
    )


def lesion_nodes(kept: list[list[float]]) -> tuple[int, str]:
    """clip(⌈95th percentile of components a case⌉, 1, 16); 0 without lesions."""
    if not kept:
        return 0, "no lesion nodes: no case has a lesion"
    percentile = float(np.percentile([len(case) for case in kept], 95))
    count = min(max(math.ceil(percentile - 1e-9), 1), MOST_LESIONS)
    return count, f"{count} lesion node{'s' if count > 1 else ''}: 95th percentile of components a case"


def parcel_splits(cohort: Cohort, network: NetworkPlan, spacing: TripleMm) -> tuple[Triple, str]:
    """Splits of the organ along S–I, A–P, R–L, limited by its volume and by the number of patients."""
    if not cohort.organ_volumes_mm3:
        return NO_PARCELS, "no parcels: there is no organ region"
    deepest = network.cumulative_stride(network.pooled_stages[-1])
    smallest = math.prod(3 * s * n for s, n in zip(spacing, deepest, strict=True))
    by_volume = float(np.median(cohort.organ_volumes_mm3)) / smallest
    by_patients = next((most for patients, most in PARCELS_BY_PATIENTS if cohort.patients < patients), 12)
    splits = next(p for p in PARCELS if math.prod(p) <= min(by_volume, by_patients))
    return splits, (
        f"{math.prod(splits)} parcels of the organ: its median volume holds {by_volume:.1f} of 3×3×3 feature voxels "
        f"each, {cohort.patients} patients allow {by_patients}"
    )


def ring_width(network: NetworkPlan, spacing: TripleMm) -> float:
    """clip(2 × stride × spacing, 5, 10) mm, at the finest stage."""
    feature = mean_mm(triple_mm(s * n for s, n in zip(spacing, network.cumulative_stride(0), strict=True)))
    return round(min(max(2 * feature, RING_WIDTHS_MM[0]), RING_WIDTHS_MM[-1]), 2)


def ring_mode(cohort: Cohort, lesions: int, width_mm: float, smallest_mm3: float) -> tuple[RingMode, str]:
    """Rings where enough of them keep the smallest lesion volume; one for all lesions if there are many."""
    if not lesions:
        return "none", "no rings: no lesions"
    nearest = min(range(len(RING_WIDTHS_MM)), key=lambda i: abs(RING_WIDTHS_MM[i] - width_mm))
    volumes = [v for case in cohort.lesion_volumes_mm3 for v in case]
    counts = [v >= smallest_mm3 or v == case[0] for case in cohort.lesion_volumes_mm3 for v in case]
    rings = [r for r, counted in zip(cohort.ring_volumes_mm3[nearest], counts, strict=True) if counted]
    share = float(np.mean([r >= smallest_mm3 for r in rings])) if volumes else 0.0
    why = f"{share:.0%} of the lesions keep a {width_mm:g} mm ring inside organ or body"
    if share < RING_SHARE_NEEDED:
        return "none", f"no rings: only {why}"
    if lesions > MERGE_RINGS_ABOVE:
        return "merged", f"one ring round all lesions (more than {MERGE_RINGS_ABOVE}): {why}"
    return "per_lesion", f"a ring round each lesion: {why}"


def edge_sigma(cohort: Cohort) -> tuple[float, str]:
    """Median distance between neighbouring regions, the length at which edges fade."""
    if cohort.neighbour_distance_mm:
        sigma = round(cohort.neighbour_distance_mm, 1) or DEFAULT_SIGMA_MM
        return sigma, f"edges fade over {sigma:g} mm, the median distance between neighbouring regions"
    if cohort.lesion_volumes_mm3:
        sigma = round(float(np.median([diameter(case[0]) for case in cohort.lesion_volumes_mm3])), 1)
        if sigma > 0:
            return sigma, f"edges fade over {sigma:g} mm, the median lesion diameter (no case has two regions)"
    return DEFAULT_SIGMA_MM, f"edges fade over {DEFAULT_SIGMA_MM:g} mm (nothing to measure it by)"


def node_count(plan: GraphPlan) -> int:
    """Node slots that a graph plan asks for."""
    rings = {"none": 0, "merged": 1, "per_lesion": plan.lesions}[plan.rings]
    return plan.organ + math.prod(plan.parcels) + plan.lesions + rings + plan.other_lesions + len(plan.context)


def within_budget(plan: GraphPlan) -> tuple[GraphPlan, str]:
    """At most `NODE_BUDGET` nodes: fewer parcels first, then one ring, then fewer lesions, then fewer contexts."""
    if node_count(plan) <= NODE_BUDGET:
        return plan, ""
    for splits in PARCELS:
        if math.prod(splits) <= math.prod(plan.parcels):
            plan = dataclasses.replace(plan, parcels=splits)
            if node_count(plan) <= NODE_BUDGET:
                return plan, " (reached with fewer parcels)"
    if plan.rings == "per_lesion":
        plan = dataclasses.replace(plan, rings="merged")
    while node_count(plan) > NODE_BUDGET and plan.lesions > 1:
        plan = dataclasses.replace(plan, lesions=plan.lesions - 1, other_lesions=True)
    if (excess := node_count(plan) - NODE_BUDGET) > 0:
        plan = dataclasses.replace(plan, context=plan.context[: len(plan.context) - excess])
    return plan, " (reached without parcels, with fewer rings, lesions or context regions)"
