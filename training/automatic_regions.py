"""Region maps that a fold's localiser drew of its training cases, and how often the student sees them.

Of a case, ``CASE.b2nd`` holds the node map (uint8, as in a preprocessed case; missing where nothing plausible was
found) and ``CASE.json`` the rest; it is written last, so a case without it is not done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reactkd_auto.cases import PreprocessedCase, array_of, write_array
from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import read_document, write_json
from reactkd_auto.regions import NodeMap
from reactkd_auto.training.seeding import Moment

FOLDER = "automatic_regions"
AUTOMATIC_SHARE = 0.5
"""Of the times that the student sees a case with both maps."""


@dataclass(frozen=True)
class AutomaticNodes:
    """Nodes of a map that a localiser drew; all but ``key`` as in `cases.CaseProperties`.

    Attributes:
        key: Of the localiser and the case that they were made of.
    """

    key: str
    node_valid: tuple[bool, ...]
    node_geometry: tuple[tuple[float, ...], ...]
    node_voxels: tuple[int, ...]
    edges: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class AutomaticRegions:
    """A case's automatic map, with at least one valid node.

    It is held in memory: another training may begin anew, and remove the files, while this one learns.

    Attributes:
        nodes: Its nodes.
        layers: Content of its ``.b2nd``.
    """

    nodes: AutomaticNodes
    layers: bytes


def write_automatic(folder: Path, case: str, nodes: NodeMap, key: str) -> AutomaticNodes:
    """Write the nodes that a localiser's map gave; returns their document."""
    document = AutomaticNodes(
        key=key,
        node_valid=tuple(nodes.valid.tolist()),
        node_geometry=tuple(tuple(row) for row in nodes.geometry.tolist()),
        node_voxels=tuple(nodes.voxels.tolist()),
        edges=tuple(tuple(row) for row in nodes.edges.tolist()),
    )
    if nodes.valid.any():
        write_array(folder / f"{case}.b2nd", nodes.layers)
    else:
        (folder / f"{case}.b2nd").unlink(missing_ok=True)
    write_json(folder / f"{case}.json", document)
    return document


def read_nodes(folder: Path, case: str) -> AutomaticNodes | None:
    """A case's document; None where it is missing or cannot be read, so that it is made again."""
    path = folder / f"{case}.json"
    try:
        return read_document(AutomaticNodes, path) if path.exists() else None
    except UserError:
        return None


def read_automatic(folder: Path, cases: Sequence[str]) -> dict[str, AutomaticRegions]:
    """The maps of those of the cases that have one with at least one valid node."""
    found = {}
    for case in cases:
        nodes = read_nodes(folder, case)
        if nodes is not None and any(nodes.node_valid):
            found[case] = AutomaticRegions(nodes, (folder / f"{case}.b2nd").read_bytes())
    return found


def with_automatic(
    cases: Sequence[PreprocessedCase], automatic: Mapping[str, AutomaticRegions], moment: Moment
) -> list[PreprocessedCase]:
    """A batch's samples, some of them with the localiser's nodes instead of the drawn ones.

    A case that has both shows the localiser's in `AUTOMATIC_SHARE` of the times; one without a drawn map always.

    Args:
        cases: With drawn nodes, or none.
        automatic: By case.
        moment: Says which samples of the whole batch these are.
    """
    samples, place = moment.whole(len(cases))
    draws = moment.numpy_generator("regions").random(samples)[place]
    return [_with_one(case, automatic.get(case.properties.case), draw) for case, draw in zip(cases, draws, strict=True)]


def _with_one(case: PreprocessedCase, regions: AutomaticRegions | None, draw: float) -> PreprocessedCase:
    if regions is None or (any(case.properties.node_valid) and draw >= AUTOMATIC_SHARE):
        return case
    nodes = {name: value for name, value in vars(regions.nodes).items() if name != "key"}
    layers = array_of(regions.layers).astype(np.uint8, copy=False)
    return replace(case, properties=replace(case.properties, **nodes), nodes=layers)
