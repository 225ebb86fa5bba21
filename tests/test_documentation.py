"""The documentation's commands exist, parse, and (the first tutorial) run in order as written."""

import importlib
import os
import re
import shlex
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline import SCRIPTS

PAGES = [ROOT / "README.md", *sorted((ROOT / "documentation").glob("**/*.md"))]
SCRIPT_MODULES = {
    e.name: e.module for e in metadata.entry_points(group="console_scripts") if e.name.startswith("reactkd_")
}


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("reactkd_")]


def all_commands() -> list[tuple[str, str]]:
    return [(page.name, line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize(("page", "line"), all_commands())
def test_every_documented_command_parses(page, line):
    name, *arguments = shlex.split(line, comments=True)
    parser = importlib.import_module(SCRIPT_MODULES[name]).build_parser()
    parser.parse_args(arguments)


def test_links_between_pages_resolve():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                file, _, anchor = target.partition("#")
                other = page.parent / file if file else page
                assert other.exists(), f"{page.name} links to {target}"
                assert not anchor or anchor in anchors(other), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as sites that show Markdown make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_command_is_in_the_reference():
    reference = (ROOT / "documentation" / "reference" / "commands.md").read_text(encoding="utf-8")
    assert [name for name in SCRIPT_MODULES if f"`{name}`" not in reference] == []


def test_getting_started_runs_as_written(tmp_path):
    environment = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment.pop("REACTKD_WORKSPACE", None)
    for line in commands(ROOT / "documentation" / "getting-started.md"):
        done = subprocess.run(
            shlex.split(line), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert (tmp_path / "predictions" / "report.html").exists()
    assert (tmp_path / "predictions" / "evaluation" / "evaluation.html").exists()
