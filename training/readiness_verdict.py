"""Whether distillation can be expected to help, in plain words, from what teachers and CT do on cases held out.

Distillation across modalities is no universal cure: it transfers what the teacher decides by *and* what the student's
modality shows (Xue et al., The Modality Focusing Hypothesis, ICLR 2023, arXiv 2206.06487; Lopez-Paz et al., Unifying
distillation and privileged information, ICLR 2016, arXiv 1511.03643), and improvements by privileged information are
easily claimed where there are none (arXiv 2408.14319). So two questions, each answered by a 95 % interval:

1. Does the teacher know more than the CT? Its AUC minus that of its own CT-only branch.
2. Does the CT show anything of the classes? The CT-only branch's AUC against 0.5. A student can be taught to look for
   what the CT shows faintly, not to see what it does not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reactkd_auto.evaluation.estimate import Estimate

Verdict = Literal["expected", "not_expected", "cannot_be_told"]
FEWEST_PATIENTS = 10
"""Of the smallest class. In simulation (AUC 0.85 against 0.65, 300 cohorts) the interval of the difference covers 0.87
with 4 patients a class, 0.92 with 10, and a teacher that is better is called useless in 9 % and 1 %."""
WORTHWHILE_AUC = 0.10
"""A gap, or a distance from chance, that would be missed. Students close about half of the gap to their teacher, so a
gap below it promises less than 0.05."""
WORDS: dict[Verdict, str] = {
    "expected": "distillation is expected to help",
    "not_expected": "distillation is NOT expected to help",
    "cannot_be_told": "whether distillation will help cannot be told",
}


@dataclass(frozen=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[str, ...]


def judge(gain: Estimate, ct_only: Estimate, class_patients: Sequence[int]) -> Judgement:
    """The verdict.

    Args:
        gain: AUC of the teacher minus AUC of the CT-only branch.
        ct_only: AUC of the CT-only branch.
        class_patients: Patients of each class among the cases judged.
    """
    if min(class_patients) < FEWEST_PATIENTS:
        return Judgement("cannot_be_told", (_too_few(class_patients),))
    answers = [_teacher_knows_more(gain), _ct_shows_something(ct_only)]
    reasons = tuple(reason for _, reason in answers)
    if any(answer is False for answer, _ in answers):
        return Judgement("not_expected", reasons)
    return Judgement("expected" if all(answer for answer, _ in answers) else "cannot_be_told", reasons)


def _teacher_knows_more(gain: Estimate) -> tuple[bool | None, str]:
    if gain.low is None or gain.high is None:
        return None, f"the teacher cannot be compared with its CT-only branch: {gain.reason}"
    if gain.low > 0:
        return True, "the teacher knows more than its CT-only branch"
    if gain.high < 0:
        return False, "the teacher is worse than its own CT-only branch"
    if gain.high < WORTHWHILE_AUC:
        return (
            False,
            f"the teacher is no better than its CT-only branch: an advantage of {WORTHWHILE_AUC:.2f} is excluded",
        )
    return None, "the difference between teacher and CT-only may be nothing, and may be large"


def _ct_shows_something(ct_only: Estimate) -> tuple[bool | None, str]:
    if ct_only.low is None or ct_only.high is None:
        return None, f"the CT-only branch's AUC has no interval: {ct_only.reason}"
    if ct_only.low > 0.5:
        return True, "the CT shows some of what tells the classes apart"
    if ct_only.high < 0.5 + WORTHWHILE_AUC:
        return (
            False,
            "the CT shows nothing that tells the classes apart, so a CT-only student has nothing to learn from",
        )
    return None, "it is not certain that the CT shows anything of the classes"


def _too_few(class_patients: Sequence[int]) -> str:
    counts = ", ".join(map(str, class_patients))
    return (
        f"too few patients ({counts} of the classes, at least {FEWEST_PATIENTS} of each are needed); train more folds"
    )
