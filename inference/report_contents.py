"""What pages of the report hold besides text: pictures, a case's small volumes, and the viewer itself."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markupsafe import Markup

from reactkd_auto.inference.results import CaseResult
from reactkd_auto.inference.viewer import ViewerCase, layer_path, read_viewer
from reactkd_auto.pages import data_url

NIIVUE = Path(__file__).parent / "templates" / "niivue" / "niivue-0.69.0.umd.js"
"""The viewer, as its makers published it; see the LICENSE.txt beside it for the SHA-256."""


@dataclass(frozen=True)
class Pictures:
    """A case's pictures as data URLs; a case without a graph has no ``graph``."""

    planes: str
    graph: str | None

    @staticmethod
    def read(output: Path, case: str) -> Pictures:
        """Those of a run's folder."""
        planes, graph = _picture_paths(output, case)
        return Pictures(data_url(planes), data_url(graph) if graph.exists() else None)


@dataclass(frozen=True)
class ViewerContents:
    """What the viewer knows of a case: its document, and its volumes as base64 by name."""

    info: ViewerCase
    layers: dict[str, Markup]

    @staticmethod
    def read(output: Path, case: str) -> ViewerContents:
        """That of a run's folder."""
        info = read_viewer(output, case)
        return ViewerContents(info, {n: _base64(layer_path(output, case, n).read_bytes()) for n in info.layers})


@cache
def packed_niivue() -> Markup:
    """The viewer's program, gzip as base64: a third of its size."""
    return _base64(gzip.compress(NIIVUE.read_bytes(), mtime=0))


def shown_bytes(output: Path, result: CaseResult) -> int:
    """Size of a case's pictures and volumes on the page."""
    if not result.picture:
        return 0
    volumes = [layer_path(output, result.case, name) for name in read_viewer(output, result.case).layers]
    files = [p for p in (*_picture_paths(output, result.case), *volumes) if p.exists()]
    return sum(4 * p.stat().st_size // 3 for p in files)


def _picture_paths(output: Path, case: str) -> tuple[Path, Path]:
    folder = Path(output) / "pictures"
    return folder / f"{case}.png", folder / f"{case}_graph.svg"


def _base64(content: bytes) -> Markup:
    """Holds no character that HTML would read."""
    return Markup(base64.b64encode(content).decode("ascii"))
