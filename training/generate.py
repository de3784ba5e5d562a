"""Continues texts with a language model: python -m training.generate --run RUN [TEXT ...] [--top_k 20 ...]

Without texts, lines come from standard input; an empty one is the beginning of a text. By default one
sample from the whole distribution; see docs/decoding.md for the searches. A --max_length beyond the window of
the training goes on again and again from the last half window.
"""

import command_line
from command_line import lines, quiet
from command_line.search_options import ABOUT_A_SOURCE, OWN, SearchOptions
from training import run_kinds
from training.config import LanguageModelingConfig


def main(arguments=None) -> None:
    """Reads the command line and prints what each text goes on with."""
    parser = command_line.parser("training.generate", __doc__)
    parser.add_argument(
        "texts", type=str, nargs="*", default=[], metavar="TEXT", help="what a text begins with"
    )
    parser.add_argument("--run", type=str, required=True, help="run folder of a causal_lm")
    command_line.add_checkpoint(parser)
    parser.add_class_arguments(SearchOptions, as_group=False, skip=ABOUT_A_SOURCE)
    parser.set_defaults(temperature=1.0)
    options = parser.parse_args(arguments)
    config = run_kinds.load_config(options.run, LanguageModelingConfig)
    if any(options.get(name) is not None for name in OWN["beam search"]):
        options.temperature = None  # the default of this command, which beam search has not
    window, length = config.data.window, options.max_length
    goes_beyond = length is not None and length > window
    if goes_beyond:
        options.max_length = window
    search = SearchOptions.read(options).search(window)
    if goes_beyond and options.n_best > 1:
        raise ValueError(
            f"`n_best` must be 1 beyond the window, {window} tokens. Received: {options.n_best}."
        )
    with quiet.start_up():
        from keras_transformer.text_generator import TextGenerator
    with lines.reader(options.texts) as texts, lines.writer(None) as write:
        generator = TextGenerator.from_run(options.run, search, options.checkpoint)
        for text in texts:
            text = text.decode("utf-8", "replace")
            if goes_beyond:
                write([generator.continued(text, length)])
            else:
                write(found for found, _ in generator.generate([text])[0])


if __name__ == "__main__":
    command_line.run(main)
