"""The tokenizers of a Marian folder: source.spm, target.spm, vocab.json, and at times target_vocab.json."""

import numpy as np

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.tokenizers import MarianTokenizer
from training.imports.source_folder import CONFIG_FILE, SourceFolder

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"


def read(source: SourceFolder) -> tuple[dict[str, MarianTokenizer], dict[str, np.ndarray]]:
    """The tokenizers of both sides, with the special ids first, and their ids in the folder.

    Returns:
        {"source", "target"}: tokenizer; and {"source", "target"}: the folder's id of each of the tokenizer's,
        int (V,). The start token, which Marian's own folders have not, is what the decoder begins with, most
        often the padding once more.

    Raises:
        ValueError: a file is missing, a vocabulary does not fit the embedding, or a special id is not what
            Marian's are.
    """
    sizes = {"source": source.value("vocab_size", int)}
    is_shared = source.value("share_encoder_decoder_embeddings", bool, True)
    sizes["target"] = sizes["source"]
    if not is_shared and source.config.get("decoder_vocab_size") is not None:
        sizes["target"] = source.value("decoder_vocab_size", int)
    told = source.json("tokenizer_config.json") or {}
    files = {"source": "vocab.json", "target": "vocab.json"}
    if told.get("separate_vocabs", not is_shared and source.file("target_vocab.json") is not None) is True:
        files["target"] = "target_vocab.json"
    vocabularies = {side: _vocabulary(source, file, sizes[side]) for side, file in files.items()}
    for side, file in files.items():
        _check_special(source, file, vocabularies[side])
    start = _start(source, vocabularies["target"])
    made, orders = {}, {}
    for side, ids in vocabularies.items():
        order = _order(ids, start)
        names = sorted(ids, key=ids.get)
        pieces = [names[old] for old in order]
        if len(order) > len(ids):  # a copy
            pieces[START_ID] = START if START not in ids else "<start>"
        model = source.file(f"{side}.spm")
        if model is None:
            raise ValueError(f"A folder of this family holds {side}.spm. Received: {source.path}, without.")
        try:
            made[side] = MarianTokenizer(model.read_bytes(), pieces)
        except ValueError as error:
            raise ValueError(f"{model} must be a model of SentencePiece. Received: {error}") from error
        orders[side] = order
    return made, orders


def _vocabulary(source, file, size):
    """{piece: id} of a file, each id from 0 to `size` - 1 once."""
    ids = source.json(file)
    if ids is None:
        raise ValueError(f"A folder of this family holds {file}. Received: {source.path}, without.")
    if len(ids) != size:
        raise ValueError(
            f"{file} must have a piece for each row of the embedding, {size}. Received: {len(ids)} pieces."
        )
    if not all(type(number) is int for number in ids.values()) or set(ids.values()) != set(range(size)):
        raise ValueError(
            f"{file} must give each piece an id of its own, from 0 to {size - 1}. Received: other ids."
        )
    return ids


def _check_special(source, file, ids):
    for piece in (PAD, UNKNOWN, END):
        if piece not in ids:
            raise ValueError(f"{file} must hold {piece}. Received: {len(ids)} others.")
    pad = ids[PAD]
    source.refuse_unless("pad_token_id", pad)
    source.refuse_unless("eos_token_id", ids[END])
    # The padding is never generated here.
    source.refuse_unless("bad_words_ids", None, [[pad]])


def _start(source, ids):
    """The piece that the decoder begins with."""
    start = source.value("decoder_start_token_id", int, ids[PAD])
    names = {number: piece for piece, number in ids.items()}
    if start not in names:
        raise ValueError(
            f"`decoder_start_token_id` of {CONFIG_FILE} must be an id of the vocabulary, below {len(ids)}. "
            f"Received: {start}."
        )
    return names[start]


def _order(ids, start):
    """The id in the folder of each of ours: special ones first, the others as they were."""
    special = {PAD_ID: ids[PAD], UNKNOWN_ID: ids[UNKNOWN], END_ID: ids[END]}
    special[START_ID] = ids.get(start, ids[PAD])
    first = [special[place] for place in range(len(special))]
    return np.array([*first, *sorted(set(ids.values()) - set(first))])
