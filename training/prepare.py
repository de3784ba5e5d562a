"""Tokenizes a training set once, into shards on disk, for sets that are larger than the memory.

python -m training.prepare --config multi30k_de_en --output prepared/multi30k

Takes the configuration of training.train and makes a folder with the tokenizers and the encoded training
pairs. Then training.train takes them with --data.prepared FOLDER, as often as wanted. A preparation that was
interrupted goes on by the same command. See docs/data.md.
"""

import json
import sys
import time
from pathlib import Path

import command_line
from command_line import quiet
from training import config as configs
from training import prepared, run_lock
from training.config.files import CONFIG_HELP, ConfigFile
from training.tasks.translation import TranslationConfig


def main(arguments=None) -> None:
    """Reads the command line and prepares."""
    parser = command_line.parser("training.prepare", __doc__)
    parser.add_argument("--config", action=ConfigFile, help=CONFIG_HELP)
    parser.add_argument("--output", type=str, required=True, help="folder to make, or to go on with")
    parser.add_argument(
        "--tokenizer_pairs",
        type=int,
        default=1_000_000,
        help="pairs, the first ones, from which the tokenizers are trained",
    )
    given = sys.argv[1:] if arguments is None else arguments
    kind = configs.kind_of(arguments)
    if not issubclass(configs.config_class(kind), TranslationConfig):  # else the first field would be wrong
        raise ValueError(f"What is prepared must be pairs for a translator. Received: {kind}.")
    options, config = configs.parse(parser, given, "prepare", "--output prepared/mine --data.train train.tsv")
    configs.check(config)
    with run_lock.held(options.output):
        prepare(config, Path(options.output), options.tokenizer_pairs)


def prepare(config: TranslationConfig, output: Path, num_tokenizer_pairs: int) -> None:
    """Makes a folder of prepared pairs, or goes on with one.

    Args:
        config: of the training: its data and tokenizers count.
        output: the folder.
        num_tokenizer_pairs: pairs from which the tokenizers are trained, >= 1.

    Raises:
        ValueError: the data or the configuration cannot be used, or the folder holds something else.
    """
    if num_tokenizer_pairs < 1:
        raise ValueError(f"`tokenizer_pairs` must be at least 1. Received: {num_tokenizer_pairs}.")
    prepared.begin(output, config)
    with quiet.start_up():
        from rich.progress import Progress

        from keras_transformer import tokenizers
        from training import pipeline
        from training.pipeline import shards
        from training.tasks.translation import corpora

    pairs_of = corpora.load(config.data)
    if not (output / "tokenizer").exists():
        pairs = corpora.load_pairs(config.data, "train").take(num_tokenizer_pairs)
        made = corpora.make_tokenizers(config.tokenizer, pairs)
        prepared.save_tokenizers(output, dict(zip(("source", "target"), made, strict=True)))
    sides = {path.name: tokenizers.load(path) for path in (output / "tokenizer").iterdir()}
    if config.tokenizer.target is None:
        sides["target"] = sides["source"]
    known = shards.facts(output)
    if known and config.data.remove_duplicates:
        # Which texts came before is known to this process alone.
        prepared.remove_shards(output)
        known = []
    filters = pipeline.Filters(
        config.data.max_length,
        config.data.max_length_ratio,
        config.data.remove_duplicates,
        config.data.remove_copies,
    )
    filters.dropped.update(known[-1]["dropped"] if known else {})
    number, total, begin = len(known), sum(fact["num_read"] for fact in known), time.perf_counter()
    already = total
    with Progress(transient=True) as progress:
        bar = progress.add_task("pairs", total=None, completed=total)
        for corpus, pairs in enumerate(pairs_of):
            done = sum(fact["num_blocks"] for fact in known if fact["corpus"] == corpus)
            blocks = pipeline.encoded_blocks(pairs, sides["source"], sides["target"], filters, skipped=done)
            while num_read := shards.write(output, number, corpus, blocks, filters):
                number, total = number + 1, total + num_read
                progress.update(bar, completed=total)
    if not total:
        raise ValueError("The training data must hold at least one pair. Received: none.")
    encoded = shards.read(output)
    pipeline.check_some_passed(len(encoded), total, filters)
    num_tokens = int(encoded.source.lengths.sum()), int(encoded.target.lengths.sum())
    prepared.finish(output, {"num_read": total, "num_pairs": len(encoded), "num_tokens": num_tokens})
    speed = (total - already) / (time.perf_counter() - begin)
    print(
        f"{output}: {len(encoded):,} pairs of {total:,}, {num_tokens[0]:,} source and {num_tokens[1]:,} "
        f"target tokens in {number:,} shards; {speed:,.0f} pairs/s"
    )
    if filters.dropped:
        print(f"left out: {json.dumps(filters.dropped)[1:-1]}")


if __name__ == "__main__":
    command_line.run(main)
