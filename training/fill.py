"""Fills the gap of a text: python -m training.fill --run RUN "to be, or [MASK]ot" [--candidates 3]

A line for each candidate, likeliest first: the token as a JSON string, so that blanks and line ends can be
seen, a tab, its probability; of several texts, all lines of the first come first. Without a text, lines come
from standard input. The first [MASK] is filled; the model reads further ones as gaps.
"""

import json

import command_line
from command_line import lines, quiet
from training import run_kinds
from training.config import MaskedLanguageModelingConfig


def main(arguments=None) -> None:
    """Reads the command line and prints candidates."""
    parser = command_line.parser("training.fill", __doc__)
    parser.add_argument(
        "texts", type=str, nargs="*", default=[], metavar="TEXT", help="with [MASK] where the gap is"
    )
    parser.add_argument("--run", type=str, required=True, help="run folder of a masked_lm")
    command_line.add_checkpoint(parser)
    parser.add_argument("--candidates", type=int, default=5, help="how many are printed")
    options = parser.parse_args(arguments)
    run_kinds.load_config(options.run, MaskedLanguageModelingConfig)
    if options.candidates < 1:
        raise ValueError(f"`candidates` must be at least 1. Received: {options.candidates}.")
    with quiet.start_up():
        import tensorflow as tf

        from keras_transformer.mask_filler import MASK, MaskFiller
    with lines.reader(options.texts) as texts, lines.writer(None) as write:
        filler = MaskFiller.from_run(options.run, options.checkpoint)
        for text in texts:
            if MASK.encode() not in text:
                raise ValueError(
                    f"Each text must hold {MASK}. Received: {text.decode('utf-8', 'replace')!r}."
                )
            found = filler(tf.constant([text]), options.candidates)
            write(map(as_line, *(x.numpy()[0] for x in found)))


def as_line(candidate, probability) -> str:
    """A token, bytes, and its probability as a line."""
    token = json.dumps(candidate.decode("utf-8", "backslashreplace"), ensure_ascii=False)
    return f"{token}\t{probability:.4f}"


if __name__ == "__main__":
    command_line.run(main)
