"""Fills the gap of a text: python -m training.fill --run RUN "to be, or [MASK]ot" [--candidates 3]

A line for each candidate, likeliest first: the token as a JSON string, so that blanks and line ends can be
seen, a tab, its probability. Without a text, lines come from standard input. The first [MASK] is filled; the
model reads further ones as gaps.
"""

import json
import sys

import command_line
from command_line import quiet
from training import run_folder
from training.config import MaskedLanguageModelingConfig


def main(arguments=None):
    """Reads the command line and prints candidates."""
    parser = command_line.parser("training.fill", __doc__)
    parser.add_argument("text", type=str, nargs="?", help="with [MASK] where the gap is")
    parser.add_argument("--run", type=str, required=True, help="run folder of a masked_lm")
    command_line.add_checkpoint(parser)
    parser.add_argument("--candidates", type=int, default=5, help="how many are printed")
    options = parser.parse_args(arguments)
    config = run_folder.load_config(options.run)
    if not isinstance(config, MaskedLanguageModelingConfig):
        raise ValueError(f"`run` must be of a masked_lm. Received: {options.run}, a {config.model.kind}.")
    if options.candidates < 1:
        raise ValueError(f"`candidates` must be at least 1. Received: {options.candidates}.")
    with quiet.start_up():
        import tensorflow as tf

        from keras_transformer.mask_filler import MASK, MaskFiller
    filler = MaskFiller.from_run(options.run, options.checkpoint)
    texts = [options.text] if options.text is not None else (line.rstrip("\r\n") for line in sys.stdin)
    for text in texts:
        if MASK not in text:
            raise ValueError(f"Each text must hold {MASK}. Received: {text!r}.")
        found = filler(tf.constant([text]), options.candidates)
        for candidate, probability in zip(*(x.numpy()[0] for x in found), strict=True):
            token = json.dumps(candidate.decode("utf-8", "backslashreplace"), ensure_ascii=False)
            print(f"{token}\t{probability:.4f}", flush=True)


if __name__ == "__main__":
    command_line.run(main)
