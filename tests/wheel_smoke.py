"""Run by `make wheel-test` in a clean environment, outside the checkout: is everything in the wheel?"""

import importlib
import pkgutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import reactkd_auto

STAGES = ("dataset_conversion", "planning", "training", "inference")


def import_everything() -> int:
    modules = [m.name for m in pkgutil.walk_packages(reactkd_auto.__path__, "reactkd_auto.")]
    for name in modules:
        importlib.import_module(name)
    missing = [s for s in STAGES if f"reactkd_auto.{s}" not in modules]
    assert not missing, f"stages missing from the wheel: {missing}"
    return len(modules)


def show_every_help() -> int:
    scripts = [e for e in metadata.entry_points(group="console_scripts") if e.name.startswith("reactkd_")]
    for script in scripts:
        path = Path(sys.executable).parent / script.name
        text = subprocess.run([path, "-h"], capture_output=True, text=True, check=True).stdout
        assert text.startswith("usage: " + script.name), script.name
    return len(scripts)


def resources_are_there() -> None:
    package = Path(reactkd_auto.__file__).parent
    for pattern in (
        "py.typed",
        "training/presets/auto.json",
        "training/presets/teachers/auto.json",
        "inference/templates/*.html",
        "inference/templates/*.md",
        "planning/degrade/templates/*.html",
        "planning/report/templates/*.html",
        "commands/ablate/templates/*.html",
    ):
        assert list(package.glob(pattern)), f"{pattern} is missing from the wheel"


if __name__ == "__main__":
    assert "site-packages" in reactkd_auto.__file__, f"the checkout was imported: {reactkd_auto.__file__}"
    resources_are_there()
    print(f"wheel: {import_everything()} modules imported, {show_every_help()} commands answer -h")
