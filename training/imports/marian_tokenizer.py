"""The tokenizers of a Marian folder: source.spm, target.spm, vocab.json, and at times target_vocab.json."""

import numpy as np

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.tokenizers import MarianTokenizer
from training.imports.source_folder import SourceFolder

PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"


def read(source: SourceFolder) -> tuple[dict[str, MarianTokenizer], dict[str, np.ndarray]]:
    """The tokenizers of both sides, with the special ids first, and their ids in the folder.

    Returns:
        {"source", "target"}: tokenizer; and {"source", "target"}: the folder's id of each of the tokenizer's,
        int (V,). The start token, which a folder has not, is the padding once more.

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
    made, orders = {}, {}
    for side, file in files.items():
        ids = _vocabulary(source, file, sizes[side])
        _check_special(source, file, ids)
        order = _order(ids)
        names = sorted(ids, key=ids.get)
        pieces = [names[old] for old in order]
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
    for name, expected in (
        ("pad_token_id", pad),
        ("eos_token_id", ids[END]),
        ("decoder_start_token_id", pad),
    ):
        source.refuse_unless(name, expected)
    # The padding is never generated here.
    source.refuse_unless("bad_words_ids", None, [[pad]])


def _order(ids):
    """The id in the folder of each of ours: special ones first, the others as they were."""
    first = {PAD_ID: ids[PAD], UNKNOWN_ID: ids[UNKNOWN], START_ID: ids[PAD], END_ID: ids[END]}
    special = [first[place] for place in range(len(first))]
    return np.array([*special, *sorted(set(ids.values()) - set(special))])
