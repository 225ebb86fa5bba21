"""A synthetic dual-tracer cohort, drawn first (`make_params`) and then rendered purely (`demo_rendering.render`).

What it simulates, per patient:

* a trunk of fat, muscle and a spine in air, and in it an organ like a liver with faintly mottled parenchyma;
* 1…4 tumours in the organ. Each has a severity in 0…1, and the *worst* tumour decides the class. In CT, severity shows
  only as the amplitude of a fine-scale texture (smoothed by 2 mm) inside the tumour, and with much scatter; size,
  number, position and mean HU of tumours carry nothing. In the two tracers, FDG and ACE (like acetate), uptake rises
  with it plainly;
* 0…2 distractors of the same size and similar mean HU: they look like lesions, are labelled as lesions, have a
  coarse texture of random amplitude, are cold in both tracers, and say nothing about the class;
* CT noise, correlated within the slice like that of filtered back-projection; PET of lower resolution on its own
  coarser grid, with noise that grows with uptake;
* a cohort as it is: a tenth of the training labels is wrong (a neighbouring class), each tracer is missing for some
  patients, some cases are ungraded and some of those have no region map;
* an external test part, CT only, with true labels, from a noisier scanner.

With ``negative_control`` the CT texture of each tumour is drawn independently of its severity, from the same
distribution: a model that sees only the CT can then do no better than chance, and says so if its evaluation is honest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLASS_NAMES = {2: ("low_grade", "high_grade"), 3: ("low_grade", "intermediate_grade", "high_grade")}
TRACERS = ("FDG", "ACE")
UPTAKE_SUV = {"FDG": (2.5, 7.0), "ACE": (3.0, 5.0)}
"""Uptake of a tumour: at severity 0, and what severity 1 adds."""
MISSING_TRACER = {"FDG": 0.15, "ACE": 0.3}
WRONG_LABELS = 0.1
UNGRADED_WITHOUT_REGIONS = 0.2
TEXTURE_HU = (8.0, 35.0)
"""SD of a tumour's texture: at severity 0, and what severity 1 adds."""
TEXTURE_SCATTER = 0.35


@dataclass(frozen=True)
class LesionParams:
    """One lesion; lengths in mm relative to the centre of the image, order (z, y, x)."""

    centre_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    mean_hu: float
    severity: float
    texture_hu: float
    uptake: tuple[float, ...]
    distractor: bool


@dataclass(frozen=True)
class CaseParams:
    """Everything random about a case; rendering adds nothing to it."""

    case: str
    true_class: int
    label: int | None
    tracers: tuple[bool, ...]
    has_regions: bool
    organ_radii_mm: tuple[float, float, float]
    organ_hu: float
    noise_hu: float
    lesions: tuple[LesionParams, ...]
    noise_seed: int


def make_params(
    cases: int,
    *,
    seed: int,
    prefix: str,
    classes: int = 2,
    graded: bool = True,
    negative_control: bool = False,
    external: bool = False,
) -> list[CaseParams]:
    """Draw a group of cases with balanced true classes.

    Args:
        cases: How many.
        seed: Same seed and arguments, same cases.
        prefix: Of the case names.
        classes: 2 or 3.
        graded: Whether the cases have labels (and so, perhaps wrong ones); else some lack a region map.
        negative_control: CT texture independent of severity.
        external: CT only, true labels, noisier scanner.
    """
    rng = np.random.default_rng([seed, *prefix.encode()])
    true = rng.permutation(np.arange(cases) % classes)
    wrong = np.zeros(cases, bool)
    if graded and not external:
        wrong[rng.permutation(cases)[: round(WRONG_LABELS * cases)]] = True
    return [
        _draw_case(
            rng,
            f"{prefix}_{i + 1:03d}",
            int(true[i]),
            classes,
            label=_label(rng, int(true[i]), classes, wrong=bool(wrong[i])) if graded else None,
            negative_control=negative_control,
            external=external,
        )
        for i in range(cases)
    ]


def _label(rng: np.random.Generator, true: int, classes: int, *, wrong: bool) -> int:
    if not wrong:
        return true
    neighbours = [c for c in (true - 1, true + 1) if 0 <= c < classes]
    return int(rng.choice(neighbours))


def _draw_case(
    rng: np.random.Generator,
    case: str,
    true: int,
    classes: int,
    *,
    label: int | None,
    negative_control: bool,
    external: bool,
) -> CaseParams:
    tracers = tuple(bool(rng.random() >= MISSING_TRACER[t]) for t in TRACERS)
    if not any(tracers):
        tracers = (True, False)
    has_regions = external or label is not None or bool(rng.random() >= UNGRADED_WITHOUT_REGIONS)
    organ_radii = (float(rng.uniform(38, 46)), float(rng.uniform(36, 42)), float(rng.uniform(38, 46)))
    organ_hu = float(rng.uniform(90, 120))
    return CaseParams(
        case=case,
        true_class=true,
        label=label,
        tracers=(False, False) if external else tracers,
        has_regions=has_regions,
        organ_radii_mm=organ_radii,
        organ_hu=organ_hu,
        noise_hu=float(rng.uniform(12, 16) if external else rng.uniform(9, 13)),
        lesions=_draw_lesions(rng, true, classes, organ_radii, organ_hu, negative_control=negative_control),
        noise_seed=int(rng.integers(2**31)),
    )


def _draw_lesions(
    rng: np.random.Generator,
    true: int,
    classes: int,
    organ_radii: tuple[float, ...],
    organ_hu: float,
    *,
    negative_control: bool,
) -> tuple[LesionParams, ...]:
    """The worst tumour's severity lies in the class's band (bands are apart), the others' anywhere below it."""
    tumours, distractors = int(rng.integers(1, 5)), int(rng.integers(0, 3))
    band = 1.0 / classes
    worst = band * (true + rng.uniform(0.1, 0.75))
    severities = [worst, *rng.uniform(0, worst, tumours - 1), *[0.0] * distractors]
    lesions: list[LesionParams] = []
    for index, severity in enumerate(severities):
        distractor = index >= tumours
        shown = rng.uniform(0, 1) if negative_control else severity
        texture = rng.uniform(8, 25) if distractor else _texture_of(rng, shown)
        uptake = [0.5 for _ in TRACERS]
        if not distractor:
            uptake = [(a + b * severity) * rng.lognormal(0, 0.1) for a, b in (UPTAKE_SUV[t] for t in TRACERS)]
        radii = tuple(float(rng.uniform(8, 13)) for _ in range(3))
        centre = _free_centre(rng, organ_radii, radii, lesions)
        if centre is None:
            continue  # the organ is full; the worst tumour comes first and always has room
        mean = organ_hu - float(rng.uniform(25, 50))
        lesions.append(
            LesionParams(
                centre, (radii[0], radii[1], radii[2]), mean, float(severity), float(texture),
                tuple(float(u) for u in uptake), distractor,
            )
        )  # fmt: skip
    return tuple(lesions)


def _texture_of(rng: np.random.Generator, severity: float) -> float:
    """SD of a tumour's texture in HU: rises with severity, with much scatter between tumours of equal severity."""
    return float((TEXTURE_HU[0] + TEXTURE_HU[1] * severity) * rng.lognormal(0, TEXTURE_SCATTER))


def _free_centre(
    rng: np.random.Generator, organ: tuple[float, ...], radii: tuple[float, ...], others: list[LesionParams]
) -> tuple[float, float, float] | None:
    for _ in range(200):
        direction = rng.normal(size=3)
        direction *= rng.random() ** (1 / 3) / np.linalg.norm(direction)
        centre = direction * (np.asarray(organ) - max(radii) - 2)
        apart = [np.linalg.norm(centre - o.centre_mm) > max(radii) + max(o.radii_mm) + 3 for o in others]
        if all(apart):
            return (float(centre[0]), float(centre[1]), float(centre[2]))
    return None
