"""Scores translations that are given: python -m training.score --run RUN --source FILE --target FILE

The pairs are those of two files, line by line, of a TSV file (--files), of the run's data set (--data), or
texts of the command line: a source and its translation, and so on. For each pair, in order, a line: with
--format text the log-probability of the target, the end token included; with --by_token the target's pieces
and their log-probabilities follow, after a tab each, separated by spaces. With --format json an object:
{"source", "target", "score"}, and with --by_token "target_pieces" and "piece_scores". Of a long source as
much is read as the training data had, of a target up to 1,024 tokens. The perplexity of all comes last, on
standard error, or on standard output where the scores go to a file.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import command_line
from command_line import lines, quiet
from training import measured_data, run_folder
from training.options import add_batch_size, check_batch_size
from training.tasks.translation import Translation


@dataclass(frozen=True)
class Score:
    """What a model says of a translation.

    Attributes:
        pieces: of the target, the end included.
        log_probs: of each piece.
    """

    pieces: list[str]
    log_probs: list[float]

    @property
    def total(self) -> float:
        """Log-probability of the target."""
        return math.fsum(self.log_probs)


def main(arguments=None) -> None:
    """Reads the command line and scores."""
    parser = command_line.parser("training.score", __doc__)
    parser.add_argument(
        "texts", type=str, nargs="*", default=[], metavar="TEXT", help="a source and its translation, ..."
    )
    command_line.add_run(parser)
    command_line.add_checkpoint(parser)
    measured_data.add_data(parser, default="none")
    parser.add_argument("--output", type=str, help="file to write to; standard output if absent")
    parser.add_argument("--format", type=Literal["text", "json"], default="text", help="see above")
    parser.add_argument("--by_token", action="store_true", help="the score of each piece of the target, too")
    add_batch_size(parser, default=64)
    options = parser.parse_args(arguments)
    split, _, files = measured_data.read(options)
    if bool(options.texts) == bool(split or files):
        raise ValueError("Give --source and --target, --files, --data or texts. Received: none or several.")
    if len(options.texts) % 2:
        raise ValueError(f"Give texts in pairs, source and target. Received: {len(options.texts)} texts.")
    if options.data_dir and not split:
        raise ValueError(f"`data_dir` needs --data. Received: data_dir={options.data_dir} without it.")
    check_batch_size(options)
    with lines.writer(options.output, inputs=files) as write:
        summary = score(options, write)
    print(summary, file=sys.stdout if options.output else sys.stderr)


def score(options, write) -> str:
    """Scores the pairs that the options name.

    Args:
        options: the command's.
        write: takes a list of lines.

    Returns:
        A line that sums up.
    """
    config = run_folder.load_config(options.run, Translation)
    with quiet.start_up():
        from keras_transformer.pipelines.translator import Translator
    pairs = read_pairs(options, config)
    translator = Translator.from_run(options.run, others=options.ensemble, checkpoint=options.checkpoint)
    graph = scoring_graph(translator)
    total, num_tokens = 0.0, 0
    with lines.progress_bar(len(pairs), options.output) as progress:
        for chunk in lines.chunks(pairs):
            scores = score_pairs(graph, *zip(*chunk, strict=True), options.batch_size, progress)
            write([as_line(*pair, score, options) for pair, score in zip(chunk, scores, strict=True)])
            total += math.fsum(score.total for score in scores)
            num_tokens += sum(len(score.pieces) for score in scores)
    return (
        f"perplexity {perplexity(total, num_tokens):.4f} of {num_tokens:,} tokens with the ends of "
        f"{len(pairs):,} targets; mean log-probability {total / num_tokens:.4f} of a token, "
        f"{total / len(pairs):.4f} of a target"
    )


def perplexity(total: float, num_tokens: int) -> float:
    """exp of the mean negative log-probability of a token.

    Args:
        total: log-probability of all targets.
        num_tokens: of all targets, end tokens included, >= 1.
    """
    by_token = total / num_tokens
    return math.inf if by_token < -700 else math.exp(-by_token)  # beyond float64


def read_pairs(options, config) -> list[tuple[str, str]]:
    """The pairs of texts, str, that the options name."""
    if options.texts:
        texts = [lines.valid(text) for text in options.texts]
        return list(zip(texts[::2], texts[1::2], strict=True))
    with quiet.start_up():
        from training.datasets import parallel_text
        from training.tasks.translation import corpora
    split, data_dir, files = measured_data.read(options)
    if len(files) > 2:
        raise ValueError(f"`files` must be a TSV file, or two files. Received: {', '.join(files)}.")
    if files:
        return list(parallel_text.read_pairs(files))
    sides = corpora.load_split(config, split, data_dir)
    return [tuple(text.decode("utf-8") for text in pair) for pair in zip(*sides, strict=True)]


def scoring_graph(translator) -> Callable:
    """Strings (B,) and (B,) -> log-probabilities and pieces, (B, T), empty at padding; one graph for all."""
    import tensorflow as tf

    from keras_transformer.pipelines.text_graphs import end_and_pad, pieces

    def scored(source, target):
        log_probs, _ = translator.score(source, target)
        target_ids = end_and_pad(translator.target_tokenizer.tokenize(target), tf.shape(log_probs)[1])
        return log_probs, pieces(translator.target_tokenizer, target_ids)

    return tf.function(scored, input_signature=[tf.TensorSpec([None], tf.string)] * 2, autograph=False)


def score_pairs(graph, sources, targets, batch_size=64, progress=None) -> list[Score]:
    """Scores given translations, those of similar length together.

    Args:
        graph: what `scoring_graph` returned.
        sources, targets: texts, as many of each.
        batch_size: pairs scored together.
        progress: called with the number of pairs that have just been scored, or None.

    Returns:
        List of `Score`, in the order of the texts.
    """
    import tensorflow as tf

    from keras_transformer.pipelines.hypotheses import batches

    scores = [None] * len(targets)
    for indices in batches(targets, batch_size):
        sides = [tf.constant([texts[index] for index in indices]) for texts in (sources, targets)]
        log_probs, pieces = (x.numpy() for x in graph(*sides))
        for index, row, row_pieces in zip(indices, log_probs, pieces, strict=True):
            row_pieces = [piece.decode("utf-8") for piece in row_pieces if piece]
            scores[index] = Score(row_pieces, row[: len(row_pieces)].tolist())
        if progress is not None:
            progress(len(indices))
    return scores


def as_line(source, target, score, options) -> str:
    """A score as a line."""
    if options.format == "json":
        record = {"source": source, "target": target, "score": score.total}
        if options.by_token:
            record |= {"target_pieces": score.pieces, "piece_scores": score.log_probs}
        return json.dumps(record, ensure_ascii=False, allow_nan=False)
    columns = [f"{score.total:.4f}"]
    if options.by_token:
        columns.append(lines.joined_pieces(score.pieces))
        columns.append(" ".join(f"{log_prob:.4f}" for log_prob in score.log_probs))
    return "\t".join(columns)


if __name__ == "__main__":
    command_line.run(main)
