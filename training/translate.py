"""Translates with a run: python -m training.translate --run RUN [TEXT] [--input FILE] [--output FILE]

Without a text or a file, lines come from standard input. A line is one text; of a long one as much is read
as the training data had. An empty line has an empty translation.

With --format text each translation is a line, its columns separated by tabs: the number of its input line
from 1 (if n_best > 1), its score (--with_scores), the translation, and (--with_alignments) pairs
"source-target" of pieces, counted from 0, then the source pieces and the target pieces, separated by
spaces. With --format json each input line gives one object: {"source": TEXT, "translations": [{"text",
"score"}, ...]}; --with_alignments adds "source_pieces", "target_pieces" and "alignment", a list of such
pairs. The best translation comes first. Its score is its log-probability.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Literal

import command_line
from command_line import lines, quiet
from command_line.search_options import SearchOptions
from training import run_folder
from training.options import add_batch_size, check_batch_size


def main(arguments=None):
    """Reads the command line and translates line by line."""
    parser = command_line.parser("training.translate", __doc__)
    parser.add_argument("text", type=str, nargs="?", help="a text to translate")
    command_line.add_run(parser)
    command_line.add_checkpoint(parser)
    parser.add_argument("--input", type=str, help="file with one text a line")
    parser.add_argument("--output", type=str, help="file to write to; standard output if absent")
    parser.add_argument("--format", type=Literal["text", "json"], default="text", help="see above")
    parser.add_argument("--with_scores", action="store_true", help="a column with log-probabilities")
    parser.add_argument(
        "--with_alignments",
        action="store_true",
        help="what each target piece attended to most, and the pieces",
    )
    parser.add_argument("--layer", type=int, help="of the alignments, from 0; the mean of all if absent")
    parser.add_argument("--head", type=int, help="of the alignments, from 0; the mean of all if absent")
    parser.add_argument("--prefix", type=str, help="what every translation begins with, in whole words")
    add_batch_size(parser, default=128)
    parser.add_class_arguments(SearchOptions, as_group=False)
    options = parser.parse_args(arguments)
    if options.text is not None and options.input:
        raise ValueError(f"Give a text or --input. Received both: {options.text!r}, {options.input}.")
    check_batch_size(options)
    config = run_folder.load_config(options.run)
    check_attention(options, config.model)
    with quiet.start_up():
        from keras_transformer.translator import Translator
    search = SearchOptions.read(options).search(config.data.max_length)
    with contextlib.ExitStack() as files:
        source = sys.stdin.buffer
        if options.text is not None:
            source = [options.text.encode("utf-8", "surrogateescape")]
        elif options.input:
            # Bytes: invalid UTF-8 is the tokenizer's to replace, not a reason to stop in the middle.
            source = files.enter_context(open(options.input, "rb"))
        write = files.enter_context(lines.writer(options.output, inputs=[options.input]))
        translator = Translator.from_run(options.run, search, options.ensemble, options.checkpoint)
        for chunk in translated(translator, source, options):
            write(chunk)


def check_attention(options, model):
    """Raises ValueError if `layer` or `head` is out of range or without use."""
    for name, size in (("layer", model.num_layers), ("head", model.num_heads)):
        value = getattr(options, name)
        if value is None:
            continue
        if not options.with_alignments:
            raise ValueError(f"`{name}` needs --with_alignments. Received: {name}={value} without it.")
        if not 0 <= value < size:
            raise ValueError(f"`{name}` must be from 0 to {size - 1}. Received: {name}={value}.")


def translated(translator, source, options):
    """Yields a list of output lines for each chunk of the source's lines.

    Args:
        translator: see `keras_transformer.translator`.
        source: iterable of lines, bytes.
        options: the command's.
    """
    size, total = lines.CHUNK, None
    if options.with_alignments:
        size = options.batch_size  # The attention of more would fill the memory.
    elif options.text is None and not options.input and sys.stdin.isatty():
        size = 1  # A person at a terminal waits for each answer.
    if options.input and Path(options.input).is_file():
        with open(options.input, "rb") as file:
            total = sum(1 for _ in file)
    number = 0
    with lines.progress_bar(total, options.output) as progress:
        for chunk in lines.chunks(source, size):
            texts = [line.rstrip(b"\r\n") for line in chunk]
            results = translator.hypotheses(
                texts,
                options.batch_size,
                prefixes=[options.prefix] * len(texts) if options.prefix else None,
                with_attention=options.with_alignments,
                progress=progress,
            )
            written = []
            for text, hypotheses in zip(texts, results, strict=True):
                number += 1
                if options.format == "json":
                    written.append(as_json(text, hypotheses, options))
                else:
                    written += [as_text(number, hypothesis, options) for hypothesis in hypotheses]
            yield written


def as_text(number, hypothesis, options):
    """A hypothesis as a line; `number` is that of the input line."""
    columns = [str(number)] if options.n_best > 1 else []
    if options.with_scores:
        columns.append(f"{hypothesis.score:.4f}")
    columns.append(hypothesis.text)
    if options.with_alignments:
        columns.append(" ".join(f"{i}-{j}" for i, j in pairs(hypothesis, options)))
        columns += map(lines.joined_pieces, (hypothesis.source_pieces or [], hypothesis.target_pieces or []))
    return "\t".join(map(lines.one_line, columns))


def as_json(text, hypotheses, options):
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


def pairs(hypothesis, options):
    """Numbers of source and target piece, in the order of the target."""
    if hypothesis.attention is None:
        return []
    aligned = hypothesis.alignment(options.layer, options.head)
    return [(source, target) for target, source in enumerate(aligned)]


if __name__ == "__main__":
    command_line.run(main)
