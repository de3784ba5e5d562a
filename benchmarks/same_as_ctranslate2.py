"""The texts of CTranslate2 against ours: python -m benchmarks.same_as_ctranslate2 --run RUN --input FILE

The same weights; greedy search and beam search of 4, both without a length penalty, for the two projects have
different ones. Every difference is printed with both log-probabilities by our model.
"""

import tempfile
from importlib import metadata
from pathlib import Path

import command_line
from command_line import quiet


def main(arguments=None):
    """Translates with both and compares."""
    parser = command_line.parser("benchmarks.same_as_ctranslate2", __doc__)
    parser.add_argument("--run", type=str, required=True, help="run folder of training.train")
    parser.add_argument("--input", type=str, required=True, help="file with one text a line")
    options = parser.parse_args(arguments)
    with quiet.start_up():
        import ctranslate2

        from keras_transformer import decoding
        from keras_transformer.pipelines.translator import Translator
        from serving import ctranslate2_format
    texts = Path(options.input).read_text(encoding="utf-8").splitlines()
    translator = Translator.from_run(options.run, decoding.Greedy)
    max_length = translator.search.max_length
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder) / "model"
        tokenizers = (translator.source_tokenizer, translator.target_tokenizer)
        ctranslate2_format.write(translator.model, *tokenizers, folder)
        peer = ctranslate2.Translator(str(folder), compute_type="float32")
        print(f"{len(texts)} texts of {options.input}; CTranslate2 {metadata.version('ctranslate2')}")
        for width in (1, 4):
            search = decoding.BeamSearch(max_length, width=width, alpha=0.0)
            translator = Translator(translator.model, *tokenizers, search, translator.max_source_length)
            compare(translator, peer, texts, width)


def compare(translator, peer, texts, width):
    """Prints how many texts are equal, and the others."""
    import tensorflow as tf

    ours = [best.text for best, *_ in translator.hypotheses(texts)]
    source_ids = translator.source_ids(tf.constant(texts))
    pieces = [
        [piece.decode("utf-8") for piece in translator.source_tokenizer.id_to_piece(row[row > 3]).numpy()]
        for row in source_ids.numpy()
    ]
    limits = dict(max_decoding_length=translator.search.max_length, min_decoding_length=0)
    results = peer.translate_batch(pieces, beam_size=width, length_penalty=0, max_batch_size=64, **limits)
    tokenizer = translator.target_tokenizer
    names = tokenizer.id_to_piece(tf.range(tokenizer.vocabulary_size)).numpy()
    ids = {name.decode("utf-8"): number for number, name in enumerate(names)}
    rows = [[ids[piece] for piece in result.hypotheses[0]] for result in results]
    theirs = [text.decode("utf-8") for text in tokenizer.detokenize(tf.ragged.constant(rows)).numpy()]
    different = [number for number, text in enumerate(ours) if text != theirs[number]]
    print(f"beam {width}: {len(texts) - len(different)} of {len(texts)} equal")
    for number in different:
        for name, text in (("ours", ours[number]), ("CTranslate2", theirs[number])):
            _, score = translator.score(tf.constant([texts[number]]), tf.constant([text]))
            print(f"  {number + 1} {name}: {float(score[0]):.5f} {text}")


if __name__ == "__main__":
    command_line.run(main)
