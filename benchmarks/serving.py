"""Serving, measured on the test double: python -m benchmarks.serving PART [--base DIR] [--input FILE] ...

    first       the first request after the warm-up
    equality    the same texts through Python, SavedModel, C API, gRPC and REST    --run, --sentences
    overhead    of the double, apart from the model's own time                     --seconds
    steady      70 % of capacity                                                   --minutes
    overload    twice the capacity                                                 --seconds
    in_flight   requests at once                                                   --requests
    bodies      generated bodies                                                   --bodies
    damaged     seven kinds of damaged new versions under load
    swaps       new versions under load                                            --swaps
    rollbacks   to an old version under load, by label and by version policy
    all         one after the other

The first six are asked of the export in --base, the others of a tiny model. The double is a
test double: its figures say that nothing is lost or mixed up, and not how fast TF Serving is.
"""

import itertools
import json
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Literal

import command_line
from benchmarks import serving_bodies, serving_load, serving_swaps
from benchmarks.serving_double import Double, write_version
from command_line import quiet

TINY = ("bodies", "damaged", "swaps", "rollbacks")
OF_EXPORT = ("first", "equality", "overhead", "steady", "overload", "in_flight")
PACKAGES = ("tensorflow", "tensorflow-text", "tensorflow-serving-api", "grpcio", "aiohttp")


def main(arguments=None):
    """Runs one part, or all, and prints a table."""
    parser = command_line.parser("benchmarks.serving", __doc__)
    parser.add_argument("part", type=Literal["all", *OF_EXPORT, *TINY], help="see above")
    parser.add_argument("--base", type=str, help="folder of versions that serving.export wrote")
    parser.add_argument("--run", type=str, help="equality: run folder that was exported")
    parser.add_argument("--input", type=str, help="file with one text a line, to ask the export for")
    parser.add_argument("--sentences", type=int, default=1000, help="of equality")
    parser.add_argument("--swaps", type=int, default=20, help="new versions")
    parser.add_argument("--minutes", type=float, default=10.0, help="of steady")
    parser.add_argument("--seconds", type=float, default=20.0, help="of overload and overhead")
    parser.add_argument("--queue", type=int, default=16, help="requests that may wait in the double")
    parser.add_argument("--requests", type=int, default=10_000, help="of in_flight")
    parser.add_argument("--bodies", type=int, default=100_000, help="of bodies")
    options = parser.parse_args(arguments)
    parts = [part for part in (*OF_EXPORT, *TINY) if options.part in (part, "all")]
    for name in ("base", "input", *(["run"] if "equality" in parts else [])):
        if set(parts) & set(OF_EXPORT) and options[name] is None:
            raise ValueError(f"`{options.part}` needs --{name}. Received: none.")
    print(", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES), flush=True)
    print("\n| part | figure | |\n|---|---|---|", flush=True)
    for name, value in itertools.chain(of_export(parts, options), tiny(parts, options)):
        print(f"| {name} | {shown(value)} |", flush=True)


def of_export(parts, options):
    """Yields (part and name, figure) of the parts that the export serves, all by one server."""
    if not set(parts) & set(OF_EXPORT):
        return
    texts = Path(options.input).read_text(encoding="utf-8").splitlines()
    if not texts:
        raise ValueError(f"`input` must have a line. Received: {options.input}, which is empty.")
    arguments = ("--model_name", "m", "--model_base_path", options.base)
    with Double(*arguments, "--queue", options.queue) as double:
        asked = (double, "m", texts)
        figures = {
            "first": lambda: serving_load.first(*asked),
            "equality": lambda: equality(double, texts[: options.sentences], options),
            "overhead": lambda: serving_load.overhead(*asked, newest(options.base), options.seconds),
            "steady": lambda: serving_load.steady(*asked, options.minutes),
            "overload": lambda: serving_load.overload(*asked, options.seconds),
            "in_flight": lambda: serving_load.in_flight(*asked, options.requests),
        }
        yield from measured(figures, parts)


def tiny(parts, options):
    """Yields (part and name, figure) of the parts that the tiny model serves, all by one server."""
    if not set(parts) & set(TINY):
        return
    with quiet.start_up():
        import tensorflow  # noqa: F401
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "echo"
        for number in (1, 2):
            write_version(base, number)
        arguments = ("--model_name", "echo", "--model_base_path", base)
        with Double(*arguments, "--file_system_poll_wait_seconds", 0.2) as double:
            figures = {
                "bodies": lambda: serving_bodies.ask(double.rest, "echo", options.bodies),
                "damaged": lambda: serving_swaps.damaged(double, base, "echo", 3),
                "swaps": lambda: serving_swaps.swaps(double, base, "echo", 10, options.swaps),
                "rollbacks": lambda: serving_swaps.rollbacks(double, base, "echo"),
            }
            yield from measured(figures, parts)


def measured(figures, parts):
    """Yields (part and name, figure) of those functions that are among the parts, in their own order."""
    for part, measure in figures.items():
        if part in parts:
            for name, value in measure().items():
                yield f"{part} | {name}", value


def equality(double, texts, options) -> dict:
    """How many texts each of four ways translates as the run's own translator does."""
    with quiet.start_up():
        import tensorflow as tf

        from benchmarks.same_answers import ask_c_api, batches_of
        from keras_transformer import decoding
        from keras_transformer.pipelines.translator import Translator
    folder = newest(options.base)
    search = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["search"]
    kind = getattr(decoding, search.pop("kind"))
    translator = Translator.from_run(options.run, kind(**search))
    loaded = tf.saved_model.load(str(folder))
    clients = {name: double.client("m", name == "REST") for name in ("gRPC", "REST")}
    answers = {name: [] for name in ("Python", "SavedModel", *clients)}
    batches = batches_of(32, len(texts))
    answers["C API"] = [text for _, text, _ in ask_c_api(folder, texts, batches)]
    for numbers in batches:
        batch = [texts[number] for number in numbers]
        found = loaded.signatures["serving_default"](text=tf.constant(batch))["translation"]
        answers["SavedModel"] += [text.decode() for text in found.numpy()]
        answers["Python"] += [text.decode() for text in translator(tf.constant(batch)).numpy()]
        for name, client in clients.items():
            answers[name] += client.predict({"text": batch})["translation"]
    equal = {
        f"{name} = Python": sum(a == b for a, b in zip(found, answers["Python"], strict=True))
        for name, found in answers.items()
        if name != "Python"
    }
    return {"sentences": len(texts), **equal}


def newest(base) -> Path:
    """The newest version's folder."""
    versions = [path for path in Path(base).iterdir() if path.name.isdigit()]
    return max(versions, key=lambda path: int(path.name))


def shown(value):
    """A figure as the table has it."""
    if isinstance(value, dict):
        items = [f"{key}: {' '.join(str(item).split()):.100}" for key, item in value.items()]
        return "; ".join(items) or "none"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value}"


if __name__ == "__main__":
    command_line.run(main)
