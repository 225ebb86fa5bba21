"""What the student is handed and shown."""

from dataclasses import replace

import torch

from reactkd_auto.networks import Student, build_teachers
from reactkd_auto.plan import write_plan
from reactkd_auto.training import student_stage, train
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.tutors import Tutors
from reactkd_auto.workspace import open_workspace


def new_task(cohort, preset, **changed):
    place, preset = open_workspace(cohort.workspace), replace(read_preset(preset), **changed)
    run = open_run(place, preset=preset, teachers="in_sample", device="cpu", epochs=1, iterations=1, quiet=True)
    teachers = build_teachers(run.plan, run.dataset, seed=5)
    return student_stage.new_task(run, 0, Tutors(teachers, {}, run.splits.assignment), ()), teachers


def test_the_student_is_handed_the_teachers_attention_unless_its_preset_wants_its_own(make_cohort):
    cohort = make_cohort()
    handed, teachers = new_task(cohort, "auto")
    own, _ = new_task(cohort, "without_shared_cbam")
    for name, weight in teachers.cbam.state_dict().items():
        torch.testing.assert_close(handed.module.student.cbam.state_dict()[name], weight)
    assert any(
        not torch.equal(own.module.student.cbam.state_dict()[name], weight)
        for name, weight in teachers.cbam.state_dict().items()
    )


def test_attention_that_is_handed_over_learns_on_unless_it_is_frozen(make_cohort):
    cohort = make_cohort()
    tuned, frozen = (new_task(cohort, "auto", cbam=how)[0].module.student for how in ("fine_tune", "frozen"))
    assert all(p.requires_grad for p in tuned.parameters())
    assert {n for n, p in frozen.named_parameters() if not p.requires_grad} == {
        f"cbam.{n}" for n, _ in frozen.cbam.named_parameters()
    }


def test_a_full_dose_student_is_never_shown_a_lower_dose(make_cohort, monkeypatch):
    cohort = make_cohort()
    write_plan(
        cohort.cases.parent / "plan.json", replace(cohort.plan, dose=replace(cohort.plan.dose, range=(0.1, 0.11)))
    )
    seen: dict[str, list[bool]] = {}

    def watch(preset):
        drawn = []

        def views(*args, before=student_stage.training_views, **kwargs):
            made = before(*args, **kwargs)
            drawn.append(made[0])
            return made

        def forward(self, images, *args, before=Student.forward, **kwargs):
            if self.training and drawn:
                full = torch.equal(images[:, :1], drawn[-1].image[:, :1])
                seen.setdefault(preset, []).append(full)
            return before(self, images, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(student_stage, "training_views", views)
            patch.setattr(Student, "forward", forward)
            train(0, workspace=cohort.workspace, preset=preset, device="cpu", epochs=1, iterations=4, quiet=True)

    watch("baseline")
    watch("full_dose")
    assert seen["full_dose"] == [True] * 4
    assert not any(seen["baseline"])
