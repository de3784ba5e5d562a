"""CTranslate2 on what its own converter makes of a Marian folder, with the tokenizer of transformers."""

import tempfile
from pathlib import Path

import ctranslate2
from ctranslate2.converters import TransformersConverter
from transformers import MarianTokenizer

from benchmarks.translation_peers import child


def make(specification):
    tokenizer = MarianTokenizer.from_pretrained(specification["folder"])
    with tempfile.TemporaryDirectory() as folder:
        converted = TransformersConverter(specification["folder"]).convert(str(Path(folder) / "model"))
        threads = specification["threads"]
        translator = ctranslate2.Translator(converted, compute_type="float32", intra_threads=threads)

    def translate(texts):
        pieces = [tokenizer.convert_ids_to_tokens(ids) for ids in tokenizer(texts).input_ids]
        limit = specification["max_length"]
        results = translator.translate_batch(
            pieces,
            beam_size=1,
            length_penalty=0,
            min_decoding_length=0,  # an end at once is an answer
            max_decoding_length=limit,
            return_scores=True,
        )
        ids = [tokenizer.convert_tokens_to_ids(result.hypotheses[0]) for result in results]
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [(text, result.scores[0]) for text, result in zip(texts, results, strict=True)]

    return translate


if __name__ == "__main__":
    child.serve(make)
