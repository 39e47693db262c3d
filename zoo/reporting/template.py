"""The page of a run, as a template of Jinja's."""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px;
       padding: 0 1rem; color: #1c1e21; background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #d8dbe0; }
.lead { color: #555b66; margin-top: 0; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }
.figures li { border: 1px solid #d8dbe0; border-radius: 6px; padding: .5rem 1rem; }
.figures b { display: block; font-size: 1.3rem; }
table { border-collapse: collapse; font-size: .85rem; margin: .5rem 0; }
th, td { text-align: left; padding: .15rem .9rem .15rem 0; vertical-align: top; }
th { border-bottom: 1px solid #d8dbe0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; }
.bar { background: #c6dbef; height: .7rem; display: inline-block; }
.note { color: #8a5a00; }
.columns { display: flex; flex-wrap: wrap; gap: 0 3rem; }
.scroll { overflow-x: auto; }
code { overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="lead">{{ lead }}</p>
<ul class="figures">
{%- for name, value in figures %}
<li><b>{{ value }}</b>{{ name }}</li>
{%- endfor %}
</ul>
{%- for note in notes %}
<p class="note">{{ note }}</p>
{%- endfor %}
{%- macro picture(source, name) %}
<p class="scroll"><img src="{{ source }}" alt="{{ name }}"></p>
{%- endmacro %}
{%- macro pairs(rows) %}
<table>
{%- for key, value in rows %}
<tr><td>{{ key }}</td><td><code>{{ value }}</code></td></tr>
{%- endfor %}
</table>
{%- endmacro %}
{%- macro grid(columns, rows) %}
<div class="scroll"><table>
<tr>{% for column in columns %}<th class="number">{{ column }}</th>{% endfor %}</tr>
{%- for row in rows %}
<tr>{% for value in row %}<td class="number">{{ value }}</td>{% endfor %}</tr>
{%- endfor %}
</table></div>
{%- endmacro %}
{%- if curves %}
<h2>Curves</h2>
{{- picture(curves, "loss, accuracy and learning rate over the epochs") }}
{%- endif %}
{%- if epochs.rows %}
<details><summary>all epochs</summary>
{{- grid(epochs.columns, epochs.rows) }}
</details>
{%- endif %}
{%- if evaluations %}
<h2>Evaluation</h2>
<p>{{ evaluated }}</p>
{{- grid(measures.columns, measures.rows) }}
{%- for part in evaluations %}
<h2>Classes, {{ part.name }}</h2>
<details{{ " open" if part.few }}><summary>accuracy of each class</summary>
<table>
<tr><th>class</th><th class="number">images</th><th class="number">right</th><th></th>
<th>taken most often for</th></tr>
{%- for row in part.classes %}
<tr><td>{{ row.name }}</td><td class="number">{{ row.images }}</td>
<td class="number">{{ row.right }}</td>
<td><span class="bar" style="width: {{ row.width }}px"></span></td><td>{{ row.other }}</td></tr>
{%- endfor %}
</table></details>
<details{{ " open" if part.few }}><summary>confusion matrix</summary>
{{- picture(part.confusion, "confusion matrix, " ~ part.name) }}
</details>
{%- endfor %}
{%- endif %}
{%- for sample in samples %}
<h2>{{ sample.title }}</h2>
<p class="lead">{{ sample.text }}</p>
{{- picture(sample.picture, sample.title) }}
{%- endfor %}
<h2>Checkpoints</h2>
{{- grid(checkpoints.columns, checkpoints.rows) }}
<div class="columns">
<div><h2>Recipe</h2>
{{- pairs(recipe) }}
</div>
<div><h2>Data</h2>
{{- pairs(data) }}
<h2>Machine</h2>
{{- pairs(machine) }}
</div>
</div>
<p class="lead">{{ made }}</p>
</body>
</html>
"""
