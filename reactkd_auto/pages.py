"""HTML pages: one file that opens from disk, without a network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

_KINDS = {".png": "image/png", ".svg": "image/svg+xml"}


def render(template: Path, **values: Any) -> str:
    """Fill a Jinja template; values are escaped, and one that is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def data_url(picture: Path) -> str:
    """A PNG or SVG file as part of the page."""
    return embedded(picture.read_bytes(), picture.suffix)


def embedded(picture: bytes, suffix: str) -> str:
    """What a file with this suffix, ``.png`` or ``.svg``, would hold, as part of the page."""
    return f"data:{_KINDS[suffix]};base64," + base64.b64encode(picture).decode("ascii")
