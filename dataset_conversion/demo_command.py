"""`reactkd_make_demo_dataset`: write the synthetic dual-tracer cohort as a raw dataset."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from reactkd_auto.commandline import from_zero, new_parser, run
from reactkd_auto.dataset import (
    Channel,
    Dataset,
    LabelledCase,
    Region,
    channel_path,
    region_path,
    write_labels,
)
from reactkd_auto.dataset_conversion import demo, demo_rendering
from reactkd_auto.dataset_conversion.copying import add_target_options, close_dataset
from reactkd_auto.dataset_conversion.opening import open_cohort
from reactkd_auto.errors import UserError
from reactkd_auto.progress import track

FEWEST_CASES = 10


def make_demo_dataset(
    *,
    workspace: Path | None = None,
    id: int | None = None,
    cases: int = 48,
    ungraded: int = 12,
    tests: int = 12,
    classes: int = 2,
    seed: int = 0,
    negative_control: bool = False,
    quiet: bool = False,
) -> Path:
    """Write the cohort and return its dataset folder; files that are already there are kept.

    Args:
        workspace: Workspace folder.
        id: Dataset number.
        cases: Graded training cases.
        ungraded: Training cases without a label, on top.
        tests: CT-only cases of the external test part.
        classes: 2 or 3 grades.
        seed: Same seed, same cohort.
        negative_control: The CT says nothing about the class.
        quiet: No progress bar.

    Raises:
        UserError: Fewer than 10 graded cases, a negative number, or another number of classes.
    """
    if cases < FEWEST_CASES or ungraded < 0 or tests < 0 or seed < 0:
        raise UserError(
            f"cases {cases}, ungraded {ungraded}, tests {tests}, seed {seed}: "
            f"expected at least {FEWEST_CASES} cases and no negative number."
        )
    if classes not in demo.CLASS_NAMES:
        raise UserError(f"{classes} classes: expected 2 or 3.")
    dataset = _dataset(classes, negative_control=negative_control)
    options: dict[str, Any] = {"seed": seed, "classes": classes, "negative_control": negative_control}
    training = [
        *demo.make_params(cases, prefix="demo", **options),
        *demo.make_params(ungraded, prefix="ungraded", graded=False, **options),
    ]
    external = demo.make_params(tests, prefix="external", external=True, **options)
    settings = {**options, "cases": cases, "ungraded": ungraded, "tests": tests}
    folder = open_cohort(workspace, dataset.name, id, settings)
    for params in track(training, what="rendering", quiet=quiet):
        _write_case(folder, params, "Tr")
    for params in track(external, what="rendering tests", quiet=quiet):
        _write_case(folder, params, "Ts")
    if external:
        write_labels(folder / "labelsTs.csv", map(_labelled, external), dataset.classes)
    return close_dataset(folder, dataset, map(_labelled, training))


def _dataset(classes: int, *, negative_control: bool) -> Dataset:
    return Dataset(
        name="DemoNegative" if negative_control else "Demo",
        channels=(Channel("CT", "ct"), *(Channel(t, "pet_suv") for t in demo.TRACERS)),
        classes=demo.CLASS_NAMES[classes],
        regions=(
            Region("organ", demo_rendering.ORGAN, "organ"),
            Region("lesion", demo_rendering.LESION, "lesion"),
            Region("spine", demo_rendering.SPINE, "context"),
        ),
        classes_ordered=classes > 2,
        description="Synthetic dual-tracer cohort; not patients."
        + (" Negative control: the CT says nothing about the class." if negative_control else ""),
        source="reactkd_make_demo_dataset",
        licence="CC0",
    )


def _labelled(params: demo.CaseParams) -> LabelledCase:
    return LabelledCase(params.case, params.case, params.label)


def _write_case(folder: Path, params: demo.CaseParams, part: str) -> None:
    paths = [channel_path(folder / f"images{part}", params.case, c, ".nii.gz") for c in range(1 + len(demo.TRACERS))]
    present = [True, *params.tracers]
    regions = region_path(folder / f"regions{part}", params.case, ".nii.gz")
    wanted = [p for p, there in zip([*paths, regions], [*present, params.has_regions], strict=True) if there]
    if all(p.exists() for p in wanted):
        return
    rendered = demo_rendering.render(params)
    for path, array in zip([*paths, regions], [rendered.ct, *rendered.tracers, rendered.regions], strict=True):
        if path in wanted and array is not None:
            _write_array(path, array)


def _write_array(path: Path, array: Any) -> None:
    """Write an array centred on the CT's grid; a coarser array has proportionally larger voxels, edges aligned."""
    import SimpleITK as sitk

    from reactkd_auto.imageio import write_image

    factors = [c // n for c, n in zip(demo_rendering.CT_SHAPE, array.shape, strict=True)]
    spacing = [s * f for s, f in zip(demo_rendering.CT_SPACING_MM, factors, strict=True)]
    origin = [-(n - 1) / 2 * s for n, s in zip(array.shape, spacing, strict=True)]
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin(origin[::-1])
    write_image(path, image)


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_make_demo_dataset``."""
    parser = new_parser("reactkd_make_demo_dataset", demo.__doc__ or "")
    add_target_options(parser)
    parser.add_argument("--cases", type=int, default=48, help="graded training cases")
    parser.add_argument("--ungraded", type=int, default=12, help="training cases without a label, on top")
    parser.add_argument("--tests", type=int, default=12, help="cases of the external test part, CT only")
    parser.add_argument("--classes", type=int, default=2, choices=sorted(demo.CLASS_NAMES), help="number of grades")
    parser.add_argument("--seed", type=from_zero, default=0, help="seed of the cohort")
    parser.add_argument("--negative_control", action="store_true", help="the CT says nothing about the class")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_make_demo_dataset``."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    make_demo_dataset(
        workspace=arguments.workspace,
        id=arguments.id,
        cases=arguments.cases,
        ungraded=arguments.ungraded,
        tests=arguments.tests,
        classes=arguments.classes,
        seed=arguments.seed,
        negative_control=arguments.negative_control,
        quiet=arguments.quiet,
    )
    return 0
