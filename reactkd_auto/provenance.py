"""What made a result: command, versions, git revision, seed, plan."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from .jsonio import write_json

_PACKAGES = ("reactkd_auto", "torch", "monai", "SimpleITK", "pydicom", "numpy", "scipy", "batchgenerators", "blosc2")


def describe_run(*, seed: int | None, plan_hash: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Everything needed to repeat a run, as plain values. Holds no host and no user name."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "options": dict(options),
        "seed": seed,
        "plan_hash": plan_hash,
        "git_revision": git_revision(),
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in _PACKAGES}},
        "platform": platform.platform(terse=True),
    }


def write_run(folder: Path, **description: Any) -> None:
    """Write ``run.json`` (see `describe_run`)."""
    write_json(folder / "run.json", describe_run(**description))


def git_revision() -> str | None:
    """The checkout's revision (``-dirty`` where files differ), or None for an installed package."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None
    try:
        return subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
