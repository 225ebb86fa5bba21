"""Pictures of sweeps: AUC against dose, and against channels or regions, with intervals."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reactkd_auto.drawing.style import COLOURS

from .sweep import Sweep, SweepPoint

AXIS = {"dose": "dose, % of the CT as it is", "channels": "", "regions": ""}
TITLE = {"dose": "AUC against dose", "channels": "AUC against channels", "regions": "AUC by origin of the regions"}


def draw_sweep(sweep: Sweep) -> Figure:
    """Macro AUC of every condition above, its paired difference to the reference below, both with 95 % intervals."""
    figure = Figure(figsize=(4.8, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    areas, gains = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2]})
    by_dose = sweep.kind == "dose"
    places = [100 * (p.dose or 0) if by_dose else float(i) for i, p in enumerate(sweep.points)]
    line = "o-" if by_dose else "o"
    for axes, estimates in (
        (areas, [p.macro_auc for p in sweep.points]),
        (gains, [p.difference for p in sweep.points]),
    ):
        shown = [(x, e) for x, e in zip(places, estimates, strict=True) if e is not None and e.value is not None]
        axes.plot([x for x, _ in shown], [e.value for _, e in shown], line, color=COLOURS[1], linewidth=1.8)
        for x, e in shown:
            if e.low is not None and e.high is not None:
                axes.vlines(x, e.low, e.high, color=COLOURS[1], linewidth=1.2, alpha=0.6)
        axes.grid(color="#EEEEEE")
        axes.set_axisbelow(True)
    areas.axhline(0.5, color="#999999", linewidth=1, linestyle=(0, (4, 3)))
    gains.axhline(0, color="#333333", linewidth=1)
    areas.set(ylabel="macro AUC", title=f"{TITLE[sweep.kind]}, {sweep.n_cases} cases")
    gains.set(ylabel=f"difference to\n{sweep.reference}", xlabel=AXIS[sweep.kind])
    if by_dose:
        gains.set_xscale("log")
    gains.set_xticks(places, [p.name for p in sweep.points], rotation=_rotation(sweep.points), minor=False)
    gains.minorticks_off()
    return figure


def _rotation(points: tuple[SweepPoint, ...]) -> int:
    return 30 if max(len(p.name) for p in points) > 9 else 0
