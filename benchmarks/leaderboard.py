"""The translators of the zoo beside each other: python -m benchmarks.leaderboard --runs RUN ...

Run folders of training.train on the same data with the same tokenizers; a table in their order:

    BLEU, chrF          of the test split, by sacreBLEU, with the search that is given
    training tokens/s   target tokens of a training step on a batch of 128 pairs of 16 tokens without padding
    minutes             the run's steps at that speed
    decoding tokens/s   target tokens, ends included, of the test split in batches of 128, tokenizers included

Speeds are the best of several rounds, in each of which every run has its turn: noise hits all of them.
"""

import hashlib
import math
import shlex
import sys
import time
from pathlib import Path

import command_line
from benchmarks.train_step import machine
from command_line import quiet
from command_line.search_options import SearchOptions
from training import evaluate, run_folder, trial

SHAPE = (128, 16, 16)  # pairs, source tokens, target tokens


def main(arguments=None):
    """Reads the command line, measures and prints the table."""
    parser = command_line.parser("benchmarks.leaderboard", __doc__)
    parser.add_argument("--runs", type=list[str], required=True, help="run folders: [runs/a, runs/b]")
    parser.add_argument("--data_dir", type=str, help="folder with the data; as in the training if absent")
    parser.add_argument("--rounds", type=int, default=3, help="turns that each run has for its speed, >= 1")
    parser.add_class_arguments(SearchOptions, as_group=False, skip={"n_best", "ensemble"})
    options = parser.parse_args(arguments)
    check_same(options.runs)
    search = SearchOptions.read(options)
    print(shlex.join(["python", "-m", "benchmarks.leaderboard", *(arguments or sys.argv[1:])]))
    print(f"{machine(2)}; {search}\n", flush=True)
    found = {run: evaluate.evaluate(run, "test", options.data_dir, search) for run in options.runs}
    decoding = decoding_speeds(found, search, options.rounds)
    costs = training_costs(options.runs, options.rounds)
    print(
        "| run | parameters | BLEU | chrF2 | training tokens/s | steps | minutes | decoding tokens/s |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for run, evaluation in found.items():
        values = {measured.name: measured.value for measured in evaluation.measures}
        cost, steps = costs[run], num_steps(run)
        print(
            f"| {Path(run).name} | {cost.num_parameters:,} | {values['BLEU']:.2f} | {values['chrF2']:.2f} | "
            f"{SHAPE[0] * SHAPE[2] / cost.seconds:,.0f} | {steps:,} | {steps * cost.seconds / 60:.0f} | "
            f"{decoding[run]:,.0f} |"
        )
    signatures = {x.name: x.signature for x in found[options.runs[0]].measures}
    print(f"\nBLEU {signatures['BLEU']}\nchrF2 {signatures['chrF2']}")


def check_same(runs):
    """Raises a ValueError unless all trainings have ended, with the data and tokenizers of the first."""
    with quiet.start_up():
        from keras_transformer.saving.checkpoints import checkpoint_path

    facts = {}
    for run in runs:
        checkpoint_path(run)  # raises now, not after the measuring of the runs before it
        data = run_folder.load_config(run).data
        files = sorted(path for path in Path(run, "tokenizer").rglob("*") if path.is_file())
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
        facts[run] = (data.name, data.source_language, data.target_language, digest)
        if facts[run] != facts[runs[0]]:
            raise ValueError(
                f"All runs must have the data and the tokenizers of the first. Received: {run}, which has "
                f"not those of {runs[0]}."
            )


def decoding_speeds(evaluations, search, rounds):
    """Run -> target tokens per second; the graphs of all runs are made before the first is timed."""
    with quiet.start_up():
        import tensorflow as tf

        from keras_transformer.pipelines.translator import Translator
    translators, seconds, num_tokens = {}, dict.fromkeys(evaluations, math.inf), {}
    for run, evaluation in evaluations.items():
        translators[run] = Translator.from_run(run, search.search(evaluation.config.data.max_length))
        texts = tf.constant(translators[run].translate(evaluation.sources))
        lengths = translators[run].target_tokenizer.tokenize(texts).row_lengths()
        num_tokens[run] = int(tf.reduce_sum(lengths + 1))
    for _ in range(rounds):
        for run, translator in translators.items():
            start = time.perf_counter()
            translator.translate(evaluations[run].sources)
            seconds[run] = min(seconds[run], time.perf_counter() - start)
    return {run: num_tokens[run] / seconds[run] for run in evaluations}


def training_costs(runs, rounds):
    """Run -> `trial.Cost` of its fastest step."""
    found = {}
    for _ in range(rounds):
        for run in runs:
            config = run_folder.load_config(run)
            cost = trial.run(config, trial.Step(sizes(run, config), SHAPE))
            if cost is None:
                raise ValueError(f"A step on a batch of {SHAPE} must fit into memory. Received: {run}.")
            found[run] = min(cost, found.get(run, cost), key=lambda cost: cost.seconds)
    return found


def sizes(run, config):
    """`Task.sizes` of a run."""
    with quiet.start_up():
        from training import tasks

    task = tasks.make(config)
    task.load_tokenizers(Path(run))
    return task.sizes


def num_steps(run):
    """Optimizer steps of a run."""
    from keras_transformer.callbacks.metrics_file import read_metrics

    return int(read_metrics(Path(run) / "metrics.jsonl", math.inf)[-1]["steps"])


if __name__ == "__main__":
    command_line.run(main)
