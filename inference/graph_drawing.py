"""A drawing of a case's region graph: nodes where they lie (seen from the front), edges, importance as colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from reactkd_auto.cases import PreprocessedCase
from reactkd_auto.inference.results import RegionRow
from reactkd_auto.jsonio import write_text
from reactkd_auto.pages import render
from reactkd_auto.regions.slots import BASE_LAYER, Slot

TEMPLATE = Path(__file__).parent / "templates" / "graph.svg"
WIDTH, HEIGHT, MARGIN = 640.0, 460.0, 46.0
SMALLEST_RADIUS, LARGEST_RADIUS, GAP = 11.0, 20.0, 4.0
FAINTEST_EDGE = 0.02
"""Edges of less weight are not drawn."""
FOR, AGAINST, NOTHING = (192, 86, 58), (84, 108, 140), (240, 242, 245)
"""Colours of nodes that speak for and against the answer, and of those that don't count (red, green, blue)."""
LETTERS = {"organ": "O", "parcel": "P", "lesion": "L", "ring": "R", "other_lesions": "L+", "context": "C"}


@dataclass(frozen=True)
class DrawnNode:
    """A circle: where, how large, what colour, which letters; ``home`` is where the region's middle really lies."""

    name: str
    mark: str
    kind: str
    x: float
    y: float
    home: tuple[float, float]
    radius: float
    colour: str
    dark: bool
    importance: float | None


@dataclass(frozen=True)
class DrawnEdge:
    """A line between two nodes; weight 0…1."""

    start: tuple[float, float]
    end: tuple[float, float]
    weight: float


@dataclass(frozen=True)
class Drawing:
    """Everything of the picture, in its units (y runs down)."""

    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]
    outlines: tuple[str, ...]


def node_marks(rows: Sequence[RegionRow]) -> dict[str, str]:
    """Short marks of nodes by name: ``lesion_1`` L1, ``organ`` O; context regions are numbered in their order."""
    marks, context = {}, 0
    for row in rows:
        number = row.node.rpartition("_")[2] if row.kind in ("parcel", "lesion", "ring") else ""
        if row.kind == "context":
            context += 1
            number = str(context)
        marks[row.node] = LETTERS[row.kind] + (number if number.isdigit() else "")
    return marks


def lay_out(case: PreprocessedCase, slots: Sequence[Slot], rows: Sequence[RegionRow]) -> Drawing:
    """Place nodes at the middles of their regions, seen from the front: the patient's right on the left, head up.

    Circles that would overlap are moved apart as little as needed.

    Args:
        case: Nodes and edges.
        slots: Of the plan.
        rows: The case's regions.
    """
    by_name = {s.name: s for s in slots}
    drawn = [r for r in rows if _mask(case, by_name[r.node]).any()]
    if not drawn:
        return Drawing((), (), ())
    spacing = case.properties.spacing_mm
    middles = np.array([np.argwhere(_mask(case, by_name[r.node])).mean(axis=0) * spacing for r in drawn])
    to_page = _Page.round_mask(np.asarray((case.nodes > 0).any(axis=(0, 2))), spacing)
    homes = to_page.points(middles[:, [2, 0]])
    largest = max((abs(r.importance or 0.0) for r in drawn), default=0.0) or 1.0
    strength = np.array([(r.importance or 0.0) / largest for r in drawn])
    radii = SMALLEST_RADIUS + (LARGEST_RADIUS - SMALLEST_RADIUS) * np.sqrt(np.abs(strength))
    places = move_apart(homes, radii)
    marks = node_marks(rows)
    nodes = tuple(
        DrawnNode(
            r.node,
            marks[r.node],
            r.kind,
            *_xy(p),
            _xy(h),
            float(d),
            _colour(float(s)),
            bool(abs(s) > 0.65),
            r.importance,
        )
        for r, p, h, d, s in zip(drawn, places, homes, radii, strength, strict=True)
    )
    indices = [by_name[r.node].index for r in drawn]
    weights = np.array(case.properties.edges)[np.ix_(indices, indices)]
    pairs = zip(*np.nonzero(np.triu(weights > FAINTEST_EDGE, 1)), strict=True)
    edges = tuple(DrawnEdge(_xy(places[i]), _xy(places[j]), float(weights[i, j])) for i, j in pairs)
    return Drawing(nodes, edges, tuple(to_page.outlines((case.nodes[BASE_LAYER] > 0).any(axis=1))))


def move_apart(homes: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places (n, 2) near ``homes`` at which circles of these radii do not overlap."""
    places = homes + 1e-3 * np.stack([np.cos(np.arange(len(homes))), np.sin(np.arange(len(homes)))], axis=1)
    needed = radii[:, None] + radii[None] + GAP
    for _ in range(500):
        apart = places[:, None] - places[None]
        distance = np.linalg.norm(apart, axis=2) + np.eye(len(homes)) * 1e9
        short = np.clip(needed - distance, 0.0, None)
        if short.max() < 0.5:
            break
        places = places + 0.5 * (apart / distance[:, :, None] * short[:, :, None]).sum(axis=1)
        inside = np.stack([np.full(len(radii), WIDTH), np.full(len(radii), HEIGHT)], axis=1) - radii[:, None]
        places = np.clip(places, radii[:, None], inside)
    return places


def write_graph(path: Path, case: PreprocessedCase, slots: Sequence[Slot], rows: Sequence[RegionRow]) -> None:
    """Write the drawing as SVG."""
    values: Mapping[str, object] = {
        "drawing": lay_out(case, slots, rows),
        "width": WIDTH,
        "height": HEIGHT,
        "colours": {"for": _rgb(FOR), "against": _rgb(AGAINST)},
    }
    write_text(path, render(TEMPLATE, **values))


@dataclass(frozen=True)
class _Page:
    """From mm (x to the patient's left, z to the head) to the picture."""

    scale: float
    first: NDArray[np.float64]
    spacing: tuple[float, float]

    @staticmethod
    def round_mask(mask: NDArray[np.bool_], spacing: tuple[float, float, float]) -> _Page:
        """So that a mask (z, x) fills the picture, in the middle of it."""
        step = np.array([spacing[2], spacing[0]])
        found = np.argwhere(mask)[:, ::-1] * step
        low, high = found.min(axis=0), found.max(axis=0) + step
        scale = float(min((WIDTH - 2 * MARGIN) / (high - low)[0], (HEIGHT - 2 * MARGIN) / (high - low)[1]))
        rest = np.array([WIDTH, HEIGHT]) / scale - (high - low)
        return _Page(scale, low - rest / 2, (float(step[0]), float(step[1])))

    def points(self, mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places (n, 2) on the page of (x, z)."""
        page = (mm - self.first) * self.scale
        return np.asarray(np.stack([page[:, 0], HEIGHT - page[:, 1]], axis=1))

    def outlines(self, mask: NDArray[np.bool_]) -> list[str]:
        """Outlines of a mask (z, x) as lists of points for SVG."""
        lines = find_contours(np.pad(mask, 1).astype(float), 0.5)
        pages = [self.points((line[:, ::-1] - 1) * self.spacing) for line in lines]
        return [" ".join(f"{x:.1f},{y:.1f}" for x, y in page) for page in pages]


def _mask(case: PreprocessedCase, slot: Slot) -> NDArray[np.bool_]:
    return np.asarray(case.nodes[slot.layer] == slot.index + 1)


def _xy(place: NDArray[np.float64]) -> tuple[float, float]:
    return float(place[0]), float(place[1])


def _colour(strength: float) -> str:
    """From `NOTHING` (0) to `FOR` (1) or `AGAINST` (−1)."""
    end = np.array(FOR if strength > 0 else AGAINST)
    red, green, blue = np.round(NOTHING + abs(strength) * (end - NOTHING)).astype(int).tolist()
    return _rgb((red, green, blue))


def _rgb(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
