"""The HTML of `evaluation.html`: one file with its pictures inside, which asks nothing of a network."""

TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation: {{ title }}</title>
<style>
:root { --ink: #1c2733; --soft: #5b6b7a; --line: #dde4ea; --blue: #0072B2; }
body { font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: var(--ink); margin: 0;
  background: #f6f8fa; }
main { max-width: 1080px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.soft { color: var(--soft); } .small { font-size: .875rem; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1rem; flex: 1 1 170px; }
.card b { display: block; font-size: 1.6rem; line-height: 1.3; color: var(--blue); }
.notice { background: #fff8e6; border-left: 4px solid #E69F00; border-radius: 4px; padding: .6rem 1rem;
  margin: .8rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { background: #fff; border: 1px solid var(--line); border-radius: 10px; margin: 0; padding: .6rem;
  flex: 1 1 330px; max-width: 520px; }
figure svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; background: #fff; border: 1px solid var(--line); min-width: 60%; }
th, td { text-align: left; padding: .4rem .75rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { background: #eef3f7; font-weight: 600; } td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; }
</style>
</head>
<body>
<main>
<h1>Evaluation of {{ title }}</h1>
<p class="soft">{{ e.n_cases }} graded cases of {{ e.n_patients }} patients were classified
({% for c in e.per_class %}{{ c.name }}: {{ c.n_cases }}{{ ", " if not loop.last }}{% endfor %}).
Labels from {{ labels }}.</p>
{% for notice in notices %}<p class="notice">{{ notice }}</p>
{% endfor %}
<div class="cards">
{% for name, estimate in headline %}<div class="card"><span class="soft">{{ name }}</span>
<b>{{ value(estimate) }}</b><span class="soft small">{{ limits(estimate) }}</span></div>
{% endfor %}
</div>
{% if pictures %}
<div class="pictures">
{% for name, svg in pictures.items() %}<figure role="img" aria-label="{{ name }}">{{ svg }}</figure>
{% endfor %}
</div>
{% endif %}
<h2>Scores</h2>
<div class="scroll"><table>
<tr><th>Score</th><th>Value</th><th>95 % interval</th><th>Interval by</th><th>Note</th></tr>
{% for name, x in scores %}<tr><td>{{ name }}</td><td class="n">{{ value(x) }}</td><td class="n">{{ limits(x) }}</td>
<td class="small">{{ x.method or "–" }}</td><td class="small">{{ x.reason }}</td></tr>
{% endfor %}
</table></div>
<h2>Each class against the rest</h2>
<div class="scroll"><table>
<tr><th>Class</th><th>Cases</th><th>Patients</th><th>Not classified</th><th>AUC</th><th>Sensitivity</th>
<th>Specificity</th><th>AUC interval by</th></tr>
{% for c in e.per_class %}<tr><td>{{ c.name }}</td><td class="n">{{ c.n_cases }}</td>
<td class="n">{{ c.n_patients }}</td><td class="n">{{ c.n_not_classified }}</td><td class="n">{{ c.auc }}</td>
<td class="n">{{ c.sensitivity }}</td><td class="n">{{ c.specificity }}</td>
<td class="small">{{ c.auc.method or "–" }}{{ "; " + c.auc.reason if c.auc.reason }}</td></tr>
{% endfor %}
</table></div>
{% if e.uncalibrated is not none %}
<h2>Before and after calibration</h2>
<div class="scroll"><table>
<tr><th>Score</th><th>Before</th><th>After</th></tr>
{% for name, after, key in before %}<tr><td>{{ name }}</td><td class="n">{{ e.uncalibrated[key] }}</td>
<td class="n">{{ after }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% if e.prediction_sets is not none %}
<h2>Prediction sets</h2>
<p class="soft small">Promised: the set holds the true class in {{ "%.0f"|format(100 * e.prediction_sets.promised) }} %
of cases. A set has {{ "%.2f"|format(e.prediction_sets.mean_size) }} classes on average; sets of one class, which
exclude all others: {{ e.prediction_sets.single }}.</p>
<div class="scroll"><table>
<tr><th>Cases</th><th>Share of sets that hold the true class</th></tr>
<tr><td>all</td><td class="n">{{ e.prediction_sets.coverage }}</td></tr>
{% for c in e.prediction_sets.per_class %}<tr><td>{{ c.name }}</td><td class="n">{{ c.coverage }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% if e.per_fold %}
<h2>Each fold</h2>
<div class="scroll"><table>
<tr><th>Fold</th><th>Cases</th><th>Macro AUC</th><th>Balanced accuracy</th></tr>
{% for f in e.per_fold %}<tr><td>{{ f.fold }}</td><td class="n">{{ f.n_cases }}</td>
<td class="n">{{ f.macro_auc }}</td><td class="n">{{ f.balanced_accuracy }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% if e.decisions %}
<h2>Decisions</h2>
<div class="scroll"><table>
<tr><th>Decision</th><th>Cases where yes is right</th><th>Thresholds at which acting on the model is better than
always and than never</th></tr>
{% for d in e.decisions %}<tr><td>{{ d.question }}</td><td class="n">{{ d.n_positive }}</td>
<td class="n">{{ d.useful_range or "none, by the 95 % interval" }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% if e.subgroups %}
<h2>Subgroups</h2>
<p class="soft small">Columns of the label table; numbers are halved at their median. Of many groups, some differ by
chance: compare intervals.</p>
<div class="scroll"><table>
<tr><th>Column</th><th>Group</th><th>Cases</th><th>Patients</th><th>Macro AUC</th><th>Note</th></tr>
{% for s in e.subgroups %}<tr><td>{{ s.column }}</td><td>{{ s.group }}</td><td class="n">{{ s.n_cases }}</td>
<td class="n">{{ s.n_patients }}</td><td class="n">{{ s.macro_auc }}</td>
<td class="small">{{ s.macro_auc.reason }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% for s in e.sweeps %}
<h2>{{ sweep_titles[s.kind] }}</h2>
<p class="soft small">The same {{ s.n_cases }} graded cases of {{ s.n_patients }} patients under every condition;
{{ s.n_left_out }} cases that not every condition got an answer to are left out. Differences are paired, to
{{ s.reference }}.</p>
<div class="scroll"><table>
<tr><th>Condition</th><th>Not classified</th><th>Macro AUC</th><th>Difference</th><th>p</th><th>Note</th></tr>
{% for p in s.points %}<tr><td>{{ p.name }}</td><td class="n">{{ p.n_not_classified }}</td>
<td class="n">{{ p.macro_auc }}</td><td class="n">{{ p.difference if p.difference is not none else "–" }}</td>
<td class="n">{{ p_value(p.p_value) }}</td><td class="small">{{ p.macro_auc.reason or p.macro_auc.method }}</td></tr>
{% endfor %}
</table></div>
{% endfor %}
{% if e.explanations %}
<h2>Can the explanations be trusted?</h2>
<div class="scroll"><table>
<tr><th>Check</th><th>Mean</th><th>95 % interval</th><th>Cases</th><th>Patients</th><th>Meaning</th></tr>
{% for m in e.explanations %}<tr><td>{{ meanings[m.name][0] }}</td><td class="n">{{ number(m.mean.value, 3) }}</td>
<td class="n">{{ limits(m.mean, 3) }}</td><td class="n">{{ m.n_cases }}</td>
<td class="n">{{ m.n_patients }}</td><td class="small">{{ meanings[m.name][1] }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% if e.comparison is not none %}
<h2>Compared with {{ compared }}</h2>
<div class="scroll"><table>
<tr><th>Cases of both</th><th>Patients</th><th>Cases of one only</th><th>Macro AUC here</th><th>There</th>
<th>Difference</th><th>p</th><th>Note</th></tr>
<tr><td class="n">{{ e.comparison.n_cases }}</td><td class="n">{{ e.comparison.n_patients }}</td>
<td class="n">{{ e.comparison.n_left_out }}</td><td class="n">{{ number(e.comparison.auc_a) }}</td>
<td class="n">{{ number(e.comparison.auc_b) }}</td><td class="n">{{ e.comparison.difference }}</td>
<td class="n">{{ p_value(e.comparison.p_value) }}</td>
<td class="small">{{ e.comparison.difference.reason or e.comparison.difference.method }}</td></tr>
</table></div>
{% endif %}
{% if e.not_classified %}
<h2>Not classified</h2>
<p class="soft small">These graded cases got no answer. They are in no score above.</p>
<div class="scroll"><table>
<tr><th>Case</th><th>True class</th><th>Reason</th></tr>
{% for u in e.not_classified %}<tr><td>{{ u.case }}</td><td>{{ u.label }}</td><td>{{ u.reason or "–" }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
<h2>How to read this</h2>
<dl class="small">
<dt>Macro AUC</dt><dd>Mean of the areas under the ROC curves of each class against the rest; for two classes, the AUC.
Half of all pairs right is 0.50.</dd>
<dt>Intervals</dt><dd>The patient is the unit: cases of one patient stay together. AUC of one class: DeLong's variance
on the logit scale (Obuchowski's where patients have several cases). Macro AUC of more classes and the scores of the
predicted classes: bootstrap of {{ replicates }} draws of patients, stratified by class. Sensitivity and specificity:
Wilson's interval, cases as if independent.</dd>
<dt>Calibration slope</dt><dd>1: probabilities as extreme as they should be; below 1: overconfident; above 1: too
cautious.</dd>
<dt>Net benefit</dt><dd>Right actions less needless ones, per case; a needless one weighs t / (1 − t) at threshold t
(Vickers and Elkin, 2006). Acting on the model is worth while where its curve is above both others.</dd>
<dt>Brier score, expected calibration error</dt><dd>0 is best. Two classes: always answering ½ has a Brier score of
0.25.</dd>
</dl>
<p class="soft small">Made by reactkd_auto, bootstrap seed {{ e.seed }}. For research, not for clinical decisions.</p>
</main>
</body>
</html>
"""
