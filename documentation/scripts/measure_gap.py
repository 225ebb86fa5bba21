"""How much of the gap between labels alone and the teachers a student closes, on new synthetic patients with tracers.

    reactkd_make_demo_dataset -w new_patients --cases 300 --ungraded 0 --tests 0 --seed 1000
    python documentation/scripts/measure_gap.py reactkd_workspace new_patients 1000 300 baseline auto:in_sample

Workspace of a trained synthetic cohort (fold 0, seed 0), workspace of the new patients, their seed and number, the
recipes of ``reactkd_ablate`` to compare: the reference first. The new patients come from the training's
scanner, are preprocessed by the training's plan at full dose into ``new_patients/judged``, and count with their true
classes. The teachers see each patient's CT and tracers, students the CT and what their recipe names; regions as drawn.
Prints a Markdown table: macro AUC, and the share (student − reference) / (fused teacher − reference), with 95 %
intervals over patients.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reactkd_auto.cases import CaseProperties, read_properties
from reactkd_auto.commands.ablate.recipes import Recipe
from reactkd_auto.dataset import read_dataset
from reactkd_auto.dataset_conversion.demo import make_params
from reactkd_auto.evaluation.bootstrap import PatientBootstrap, bootstrap_macro_auc, macro_auc, percentile_estimate
from reactkd_auto.execution import Execution
from reactkd_auto.networks import load_weights
from reactkd_auto.planning.made_of import outdated_cases
from reactkd_auto.planning.measuring import measure_cases, read_rows
from reactkd_auto.planning.preprocess import preprocess_cases
from reactkd_auto.planning.rooms import Rooms
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.run import Run
from reactkd_auto.training.student_stage import new_student, student_answers
from reactkd_auto.training.teachers_stage import load_teachers, probabilities, teacher_logits
from reactkd_auto.workspace import open_workspace

Answers = dict[str, list[float]]
FOLD = 0


def prepare(run: Run, patients: Path) -> tuple[list[CaseProperties], dict[str, Any]]:
    """Preprocess the new patients as the run's own cases were, but for dose noise, which full dose does not need."""
    workspace = open_workspace(patients)
    raw = workspace.raw_dataset(workspace.find_dataset(None))
    out = patients / "judged" / run.plan.hash
    rooms = Rooms(raw=raw, out=out, plan_file=out / "plan.json", cases=out / "cases")
    plan = replace(run.plan, dose=replace(run.plan.dose, enabled=False))
    dataset, execution = read_dataset(raw), Execution()
    measured, failures = measure_cases(
        read_rows(raw, dataset), dataset, raw=raw, store=patients / "judged" / "fingerprints", execution=execution
    )
    failures |= {
        case: failure.sentence
        for case, failure in preprocess_cases(
            outdated_cases(measured, plan, rooms.cases), plan, dataset, rooms, execution=execution
        ).items()
    }
    if failures:
        raise SystemExit("\n".join(failures.values()))
    judged = {"plan": plan, "dataset": run.dataset, "folder": rooms.cases, "device": run.device}
    return [read_properties(rooms.cases, c.case) for c in measured], judged


def ask(recipe: Recipe, run: Run, cases: list[CaseProperties], judged: dict[str, Any]) -> dict[str, Answers]:
    """Probabilities of the new patients by a recipe's student and by the teachers that it learnt from."""
    student = new_student(run)
    load_weights(run.model.student_weights(FOLD), student)
    channels = run.preset.channels(run.dataset)
    answers = {recipe.name: student_answers(student.eval(), cases, channels=channels, flips=True, **judged)}
    if run.preset.distil:
        logits = teacher_logits(load_teachers(run, FOLD), cases, **judged)
        answers |= {f"teachers, {head}": probabilities(rows) for head, rows in logits.items()}
    return answers


def main(workspace: Path, patients: Path, seed: int, count: int, *names: str) -> None:
    """Ask all models and print the table."""
    recipes = [Recipe.parse(name) for name in names]
    runs = [
        open_run(
            open_workspace(workspace),
            preset=replace(read_preset(r.preset), student_channels=r.channels),
            teachers=r.teachers,
            device="cpu",
        )
        for r in recipes
    ]
    properties, judged = prepare(runs[0], patients)
    answers: dict[str, Answers] = {}
    for recipe, run in zip(recipes, runs, strict=True):
        answers |= ask(recipe, run, properties, judged)
    truth = {p.case: p.true_class for p in make_params(count, seed=seed, prefix="demo")}
    cases = sorted(answers[names[0]])
    labels = np.array([truth[case] for case in cases])
    models = [np.array([rows[case] for case in cases]) for rows in answers.values()]
    areas = bootstrap_macro_auc(PatientBootstrap(labels, np.arange(len(cases))), models)
    values = np.array([macro_auc(labels, model, np.ones((1, len(cases))))[0] for model in models])
    at = {name: i for i, name in enumerate(answers)}
    low, high = at[names[0]], at["teachers, fused"]
    lines = [f"{len(cases)} new patients", "| model | macro AUC | share of the gap |", "|---|---|---|"]
    for name, i in at.items():
        share = (values[i] - values[low]) / (values[high] - values[low])
        shares = (areas[:, i] - areas[:, low]) / (areas[:, high] - areas[:, low])
        closed = "" if i in (low, high) else f"{percentile_estimate(share, shares)}"
        lines.append(f"| {name} | {percentile_estimate(values[i], areas[:, i])} | {closed} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
