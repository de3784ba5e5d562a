"""Translates with a run: python -m training.translate --run RUN [TEXT] [--input FILE] [--output FILE]

Without a text or a file, lines come from standard input.
"""

import contextlib
import itertools
import sys

import command_line
from command_line import quiet

# Lines read before they are translated: enough to sort by length, little to hold in memory.
CHUNK = 4096


def main(arguments=None):
    """Reads the command line and translates line by line."""
    parser = command_line.parser("training.translate", __doc__)
    parser.add_argument("text", type=str, nargs="?", help="a text to translate")
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    parser.add_argument("--input", type=str, help="file with one text a line")
    parser.add_argument("--output", type=str, help="file to write to; standard output if absent")
    options = parser.parse_args(arguments)
    if options.text is not None and options.input:
        raise ValueError(f"Give a text or --input. Received both: {options.text!r}, {options.input}.")
    with quiet.start_up():
        from keras_transformer.translator import Translator
    translator = Translator.from_run(options.run)
    if options.text is not None:
        print(translator.translate([options.text])[0])
        return
    # A person at a terminal waits for each answer.
    chunk = 1 if sys.stdin.isatty() and not options.input else CHUNK
    with contextlib.ExitStack() as files:
        source, output = sys.stdin.buffer, sys.stdout
        if options.input:
            # Bytes: invalid UTF-8 is the tokenizer's to replace, not a reason to stop in the middle.
            source = files.enter_context(open(options.input, "rb"))
        if options.output:
            output = files.enter_context(open(options.output, "w", encoding="utf-8"))
        for lines in iter(lambda: list(itertools.islice(source, chunk)), []):
            texts = [line.rstrip(b"\r\n") for line in lines]
            output.writelines(f"{translation}\n" for translation in translator.translate(texts))
            output.flush()


if __name__ == "__main__":
    command_line.run(main)
