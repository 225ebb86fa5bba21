"""``CASE_0000.json`` beside a CT: how it was acquired, in the keys of dcm2niix and BIDS."""

from __future__ import annotations

from pathlib import Path


def sidecar_path(images: Path, case: str) -> Path:
    """``images/CASE_0000.json``."""
    return images / f"{case}_0000.json"
