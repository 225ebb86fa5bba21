"""`reactkd_make_regions` in this process, and what it left."""

from pathlib import Path

from reactkd_auto.dataset_conversion.region_making.command import main
from tests.dataset_conversion.region_making.stand_in import prepare


def run(folder: Path, *options: object, shift_mm: float = 0.0) -> int:
    prepare(folder.parents[1] / "bin", sorted(folder.glob("imagesT?/*_0000.*")), shift_mm=shift_mm)
    return main(["-w", str(folder.parent.parent), "--workers", "1", *map(str, options)])


def maps(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob("regionsT?/*"))}
