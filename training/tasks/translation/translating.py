"""Translates with a run: python -m training.translate --run RUN [TEXT ...] [--input FILE] [--output FILE]

Without a text or a file, lines come from standard input. A line is one text; of a long one as much is read
as the training data had. An empty line has an empty translation. --picture draws what each piece of one
text's best translation attended to; with --layer and without --head, every head of that layer.

With --format text each translation is a line, its columns separated by tabs: the number of its input line
from 1 (if n_best > 1), its score (--with_scores), the translation, and (--with_alignments) pairs
"source-target" of pieces, counted from 0, then the source pieces and the target pieces, separated by
spaces. With --format json each input line gives one object: {"source": TEXT, "translations": [{"text",
"score"}, ...]}; --with_alignments adds "source_pieces", "target_pieces" and "alignment", a list of such
pairs. The best translation comes first. Its score is its log-probability.

With --choose one translation of each text is written, of the n_best that were found: by chrf or bleu the one
that is most like the others (minimum Bayes risk), by reverse the one that both directions of translation find
likely, with the run of the other one as --reverse.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import command_line
from command_line import lines, quiet
from command_line.search_options import SearchOptions
from training import picture_files
from training.options import add_batch_size, check_batch_size


def add_options(parser) -> None:
    """Adds the options of translating."""
    parser.add_argument("texts", type=str, nargs="*", default=[], metavar="TEXT", help="texts to translate")
    command_line.add_ensemble(parser)
    parser.add_argument("--input", type=str, help="file with one text a line")
    parser.add_argument("--output", type=str, help="file to write to; standard output if absent")
    parser.add_argument("--format", type=Literal["text", "json"], default="text", help="see above")
    parser.add_argument("--with_scores", action="store_true", help="a column with log-probabilities")
    parser.add_argument(
        "--with_alignments",
        action="store_true",
        help="what each target piece attended to most, and the pieces",
    )
    parser.add_argument(
        "--picture", type=Path, help="file to draw the attention of one text into: *.png, *.svg, *.pdf"
    )
    parser.add_argument("--layer", type=int, help="of the attention, from 0; the mean of all if absent")
    parser.add_argument("--head", type=int, help="of the attention, from 0; the mean of all if absent")
    parser.add_argument("--prefix", type=str, help="what every translation begins with, in whole words")
    parser.add_argument(
        "--choose", type=Literal["chrf", "bleu", "reverse"], help="one of n_best translations, see above"
    )
    parser.add_argument("--reverse", type=Path, help="run that translates back, for --choose reverse")
    parser.add_argument("--reverse_weight", type=float, default=1.0, help="of its log-probability by token")
    add_batch_size(parser, default=128)
    parser.add_class_arguments(SearchOptions, as_group=False)


def predict(options, config) -> None:
    """Translates what the options name, line by line."""
    check_batch_size(options)
    check_attention(options, config.model)
    check_choice(options)
    with quiet.start_up():
        from keras_transformer.pipelines.translator import Translator
    search = SearchOptions.read(options).search(config.data.max_length)
    with contextlib.ExitStack() as files:
        source = files.enter_context(lines.reader(options.texts, options.input))
        write = files.enter_context(lines.writer(options.output, inputs=[options.input]))
        translator = Translator.from_run(options.run, search, options.ensemble, options.checkpoint)
        reverse = Translator.from_run(options.reverse) if options.reverse else None
        for chunk in translated(translator, source, options, reverse):
            write(chunk)


def check_choice(options) -> None:
    """Raises ValueError if the options do not say what is chosen among what."""
    if options.choose and options.n_best < 2:
        raise ValueError(
            f"`choose` needs several translations, --n_best N. Received: n_best={options.n_best}."
        )
    if (options.choose == "reverse") != (options.reverse is not None):
        raise ValueError(
            "`choose` reverse and --reverse RUN need each other. "
            f"Received: choose={options.choose}, reverse={options.reverse}."
        )
    if options.reverse_weight < 0:
        raise ValueError(
            f"`reverse_weight` must be at least 0. Received: reverse_weight={options.reverse_weight}."
        )


def chosen(translator, texts, results, options, reverse) -> list[list]:
    """The one of the hypotheses of each text that the options choose, in a list."""
    from keras_transformer.decoding import Sampling
    from keras_transformer.pipelines import reranking

    if reverse is not None:
        ranked = reranking.noisy_channel(
            translator, reverse, texts, results, options.reverse_weight, options.batch_size
        )
    else:
        are_samples = isinstance(translator.search, Sampling)
        ranked = [reranking.minimum_bayes_risk(row, options.choose, are_samples) for row in results]
    return [row[:1] for row in ranked]


def check_attention(options, model) -> None:
    """Raises ValueError if what is asked of the attention cannot be: by a model's configuration."""
    if options.picture:
        picture_files.check(options.picture)
        if len(options.texts) != 1:
            raise ValueError(f"`picture` is of one text. Received: {len(options.texts)} texts.")
    asked = "--picture" if options.picture else "--with_alignments" if options.with_alignments else None
    if asked and getattr(model, "attention", None) == "none":
        raise ValueError(f"{asked} is for models with attention. Received: model.attention none.")
    num_layers = getattr(model, "num_decoder_layers", None) or model.num_layers
    sizes = {
        # A recurrent decoder has one attention, above all layers.
        "layer": 1 if model.kind == "rnn_seq2seq" else num_layers,
        "head": getattr(model, "num_heads", 1),
    }
    for name, size in sizes.items():
        value = getattr(options, name)
        if value is None:
            continue
        if not asked:
            raise ValueError(
                f"`{name}` needs --with_alignments or --picture. Received: {name}={value} without."
            )
        if not 0 <= value < size:
            raise ValueError(f"`{name}` must be from 0 to {size - 1}. Received: {name}={value}.")


def translated(translator, source, options, reverse=None) -> Iterator[list[str]]:
    """Yields a list of output lines for each chunk of the source's lines.

    Args:
        translator: see `keras_transformer.pipelines.translator`.
        source: iterable of texts, bytes.
        options: the command's.
        reverse: a translator of the other direction, for --choose reverse.
    """
    from keras_transformer.pipelines.text_seeds import TextSeeds

    size, total = lines.CHUNK, None
    with_attention = options.with_alignments or options.picture is not None
    if with_attention:
        size = options.batch_size  # The attention of more would fill the memory.
    elif not options.texts and not options.input and sys.stdin.isatty():
        size = 1  # A person at a terminal waits for each answer.
    if options.input and Path(options.input).is_file():
        with open(options.input, "rb") as file:
            total = sum(1 for _ in file)
    number, next_seeds = 0, TextSeeds(translator.search)
    with lines.progress_bar(total, options.output) as progress:
        for texts in lines.chunks(source, size):
            results = translator.hypotheses(
                texts,
                options.batch_size,
                prefixes=[lines.valid(options.prefix)] * len(texts) if options.prefix else None,
                with_attention=with_attention,
                progress=progress,
                seeds=next_seeds(texts),
            )
            if options.choose:
                results = chosen(translator, texts, results, options, reverse)
            if options.picture:
                picture_files.write(picture(results[0][0], options.layer, options.head), options.picture)
            written = []
            for text, hypotheses in zip(texts, results, strict=True):
                number += 1
                if options.format == "json":
                    written.append(as_json(text, hypotheses, options))
                else:
                    written += [as_text(number, hypothesis, options) for hypothesis in hypotheses]
            yield written


def as_text(number, hypothesis, options) -> str:
    """A hypothesis as a line; `number` is that of the input line."""
    columns = [str(number)] if options.n_best > 1 and not options.choose else []
    if options.with_scores:
        columns.append(f"{hypothesis.score:.4f}")
    columns.append(hypothesis.text)
    if options.with_alignments:
        columns.append(" ".join(f"{i}-{j}" for i, j in pairs(hypothesis, options)))
        columns += map(lines.joined_pieces, (hypothesis.source_pieces or [], hypothesis.target_pieces or []))
    return "\t".join(map(lines.one_line, columns))


def as_json(text, hypotheses, options) -> str:
    """All hypotheses of a text as one object."""
    translations = []
    for hypothesis in hypotheses:
        if hypothesis.score == float("-inf"):  # stands for none
            continue
        translation = {"text": lines.one_line(hypothesis.text), "score": hypothesis.score}
        if options.with_alignments:
            translation["source_pieces"] = hypothesis.source_pieces
            translation["target_pieces"] = hypothesis.target_pieces
            translation["alignment"] = pairs(hypothesis, options)
        translations.append(translation)
    record = {"source": text.decode("utf-8", "replace"), "translations": translations}
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def picture(hypothesis, layer, head) -> Any:
    """A hypothesis's attention as a figure: of a layer and head, of all heads of a layer, or the mean."""
    from keras_transformer.attention_maps import attention_map

    if hypothesis.attention is None:
        raise ValueError("The picture needs a translation. Received: none was found.")
    attention = hypothesis.attention  # (layers, heads, T, S)
    is_only = attention.shape[:2] == (1, 1)
    title = {
        (True, True): "mean of all layers and heads",
        (True, False): f"head {head}, mean of all layers",
        (False, True): f"layer {layer}",
        (False, False): f"layer {layer}, head {head}",
    }[layer is None, head is None]
    attention = attention.mean(axis=0) if layer is None else attention[layer]
    if head is not None:
        attention = attention[head]
    elif layer is None:
        attention = attention.mean(axis=0)
    sides = hypothesis.source_pieces, hypothesis.target_pieces
    return attention_map(attention, *sides, "" if is_only else title)


def pairs(hypothesis, options) -> list[tuple[int, int]]:
    """Numbers of source and target piece, in the order of the target."""
    if hypothesis.attention is None:
        return []
    aligned = hypothesis.alignment(options.layer, options.head)
    return [(source, target) for target, source in enumerate(aligned)]
