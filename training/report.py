"""An evaluation as one HTML page that needs nothing else: no script, no file, no network."""

import html
import os
import platform
import random
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path

import yaml

from keras_transformer_programs import installation
from training import measured_data, report_pictures

NUM_SAMPLES = 10
SEED = 0  # of the samples

# A browser that obeys it runs and loads nothing, whatever a sentence holds.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
KINDS = {"#": ' class="number"', "~": ' class="long" dir="auto"', "|": ' class="dim"', "=": ' class="name"'}
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin-bottom: .3rem; }
/* What is too wide for the window is scrolled by itself, not with the page. */
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: start; vertical-align: top; padding: .3rem .8rem .3rem 0; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
td:first-child { white-space: nowrap; }
tr { border-bottom: 1px solid var(--line); }
.number { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap; }
.long { width: 30%; min-width: 9rem; }
.name { min-width: 9rem; }
.dim { opacity: .75; font-size: .85rem; }
td.dim { min-width: 13rem; }
p { overflow-wrap: anywhere; }
svg { max-width: max(100%, 40rem); height: auto; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; }
"""


def place(name: str) -> Path:
    """The file that a report is written to: `name` if it ends with .html, else report.html in that folder.

    Raises:
        ModuleNotFoundError: what draws its curves is not installed.
        ValueError: it is a folder.
        OSError: it cannot be written. This is told before minutes of translation.
    """
    installation.check("matplotlib")
    path = Path(name) if Path(name).suffix == ".html" else Path(name) / "report.html"
    if path.is_dir():
        raise ValueError(f"`report` must be a file *.html, or the folder for it. Received: {path}, a folder.")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise OSError(f"A report needs a folder that can be written. Received: {path}, below {above}.")
    return path


def write(path: Path, text: str) -> None:
    """Writes a page beside and renames it into place.

    Args:
        path: see `place`.
        text: the page.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".incomplete-{path.name}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def page(evaluation, records) -> str:
    """The whole page of a translator as a text."""
    parts = [
        f"<p>{html.escape(facts(evaluation))}</p>",
        *measures_table(evaluation.measures),
        *comparison(evaluation.compared),
        *pictures(evaluation, records),
        *sentences(evaluation),
    ]
    return whole(f"{evaluation.system}, {evaluation.split}", parts, evaluation.config)


def page_of_measures(title: str, measures, config, records) -> str:
    """The whole page of a run of another kind as a text: its measures, with the tables that they have.

    Args:
        title: the run and what was measured.
        measures: list of `quality.Measured`.
        config: the run's.
        records: the lines of its metrics.jsonl.
    """
    from training import class_measures  # here: it imports Keras

    parts = measures_table(measures)
    for measured in measures:
        if isinstance(measured, class_measures.Table):
            (first, *others), *rows = measured.rows
            head = [f"={first}", *(f"#{name}" for name in others)]
            parts += [f"<h2>{html.escape(measured.name)}</h2>", table(head, rows)]
    monitor = config.checkpoints.monitor
    parts += training_curves(records, monitor, monitor.removeprefix("val_").replace("_", " "))
    return whole(title, parts, config)


def measures_table(measures) -> list[str]:
    """The figures with their signatures."""
    rows = [[x.name, f"{x.value:,.{x.decimals}f}", x.details, x.signature] for x in measures]
    return ["<h2>Measures</h2>", table(["measure", "#value", "=", "|signature"], rows)]


def whole(title: str, parts, config) -> str:
    """A page of these parts, with the configuration and what made it."""
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *parts,
        "<h2>Configuration</h2>",
        f"<pre>{html.escape(configuration(config))}</pre>",
        f'<p class="dim">{html.escape(versions())}</p>',
    ]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def facts(evaluation) -> str:
    """What was measured, in a sentence."""
    data = evaluation.config.data
    languages = f" {data.source_language} to {data.target_language}" if data.source_language else ""
    examples = evaluation.split  # files that were measured in place of the run's data
    if examples in measured_data.SPLITS:
        examples = f"{data.name}{languages}, {examples}"
    case = "ignored" if evaluation.lowercase else "counts"
    return f"{len(evaluation.sources):,} sentences of {examples}. Search: {evaluation.search}. Case {case}."


def comparison(compared) -> list[str]:
    """The other systems, if there are any."""
    if not compared:
        return []
    rows = [
        [
            row.name,
            row.system,
            f"{row.value:.2f}",
            f"{row.mean:.2f} \u00b1 {row.margin:.2f}",
            "" if row.p_value is None else f"{row.p_value:.4f}",
        ]
        for row in compared
    ]
    signatures = {f"{row.name}: {row.signature}" for row in compared}
    return [
        "<h2>Comparison</h2>",
        table(["measure", "=system", "#value", "#mean, 95 % interval", "#p"], rows),
        '<p class="dim">Paired bootstrap resampling (Koehn 2004) against the first system of each measure. '
        f"{html.escape('; '.join(sorted(signatures)))}</p>",
    ]


def pictures(evaluation, records) -> list[str]:
    """The curves of the training, and the quality by length."""
    from keras_transformer import quality

    name, title = evaluation.names[0], evaluation.measures[0].name
    parts = training_curves(records, f"val_{name}", title)
    buckets = report_pictures.length_buckets(evaluation.source_lengths)
    values = []
    for _, indices in buckets:
        sides = [[texts[i] for i in indices] for texts in (evaluation.translations, evaluation.references)]
        found = quality.measure(*sides, [name], evaluation.lowercase)[name].value if indices else None
        values.append(found)
    parts.append(f"<h2>{html.escape(title)} by length of the source</h2>")
    return [*parts, f'<div class="wide">{report_pictures.by_length(buckets, values, title)}</div>']


def training_curves(records, quality, title) -> list[str]:
    """The curves of the training, if it has left any; see `report_pictures.curves`."""
    drawn = report_pictures.curves(records, quality, title)
    return ["<h2>Training</h2>", f'<div class="wide">{drawn}</div>'] if drawn else []


def sentences(evaluation) -> list[str]:
    """Sentences at random, the best and the worst, by chrF."""
    from keras_transformer import quality

    scores = quality.sentence_scores(
        evaluation.translations, evaluation.references, lowercase=evaluation.lowercase
    )
    everything = range(len(scores))
    count = min(NUM_SAMPLES, len(scores))
    chosen = {
        f"At random (seed {SEED})": sorted(random.Random(SEED).sample(everything, count)),
        "Best": sorted(everything, key=lambda index: -scores[index])[:count],
        "Worst": sorted(everything, key=lambda index: scores[index])[:count],
    }
    parts = ["<h2>Sentences</h2>", '<p class="dim">chrF2 of each sentence; numbers count from 1.</p>']
    for title, indices in chosen.items():
        rows = [
            [
                f"{index + 1:,}",
                evaluation.sources[index],
                evaluation.translations[index],
                evaluation.references[index],
                f"{scores[index]:.1f}",
            ]
            for index in indices
        ]
        parts += [f"<h3>{title}</h3>", table(["# ", "~source", "~translation", "~reference", "#chrF"], rows)]
    return parts


def configuration(config) -> str:
    """The run's configuration as YAML."""
    return yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True, default_flow_style=None)


def versions() -> str:
    """What made the page."""
    names = ("keras", "tensorflow", "sacrebleu")
    found = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{date.today().isoformat()}; {found}, Python {platform.python_version()}, {platform.machine()}"


def table(head, rows) -> str:
    """An HTML table of texts.

    Args:
        head: titles; one that begins with # stands over numbers, with ~ over sentences, with | over
            signatures, with = over names and notes.
        rows: lists of texts.
    """
    kinds = [KINDS.get(name[:1], "") for name in head]
    lines = [
        [f"<th{kind}>{html.escape(name.lstrip('#~|='))}</th>" for kind, name in zip(kinds, head, strict=True)]
    ]
    for row in rows:
        texts = [html.escape(text) for text in row]
        lines.append([f"<td{kind}>{text}</td>" for kind, text in zip(kinds, texts, strict=True)])
    body = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in lines)
    return f'<div class="wide"><table>\n{body}\n</table></div>'
