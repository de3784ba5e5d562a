"""Finds the captions that mean nearly the same as a sentence: python -m examples.nearest_captions

    python -m examples.nearest_captions --run runs/minilm --captions captions.txt "Two dogs run after a ball."

`--run` is what `keras-transformer import_weights` made of a folder of sentence-transformers.
"""

import argparse
import gzip
from pathlib import Path

import command_line
from command_line import quiet

with quiet.start_up():
    from keras_transformer.pipelines.text_embedder import TextEmbedder


def main(arguments=None):
    """Prints the nearest captions with their cosines, the nearest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", required=True, help="run folder of a text embedder")
    parser.add_argument("--captions", required=True, help="file with a caption a line, plain or gzip")
    parser.add_argument("--count", type=int, default=3, help="how many are printed")
    parser.add_argument("sentence")
    options = parser.parse_args(arguments)
    embedder = TextEmbedder.from_run(options.run)
    captions = lines_of(options.captions)
    for cosine, caption in nearest(embedder, captions, options.sentence, options.count):
        print(f"{cosine:.3f}  {caption}")


def nearest(embedder, captions, sentence, count):
    """The `count` nearest captions: (cosine, caption), the nearest first."""
    vectors, question = embedder.embed(captions), embedder.embed(sentence)  # (N, D), (D,)
    cosines = unit(vectors) @ unit(question)
    order = cosines.argsort()[::-1][:count]
    return [(float(cosines[number]), captions[number]) for number in order]


def unit(vectors):
    """Vectors of the length 1; those of some models have it already."""
    return vectors / (vectors**2).sum(axis=-1, keepdims=True) ** 0.5


def lines_of(path):
    """The lines of a file that are not empty."""
    data = Path(path).read_bytes()
    text = gzip.decompress(data) if path.endswith(".gz") else data
    return [line for line in text.decode("utf-8").splitlines() if line.strip()]


if __name__ == "__main__":
    command_line.run(main)
