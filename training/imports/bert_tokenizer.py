"""The WordPiece tokenizer of a folder: tokenizer.json, or vocab.txt and tokenizer_config.json."""

from keras_transformer.tokenizers import WordPieceTokenizer
from training.imports.source_folder import SourceFolder

SPECIAL = {
    "pad": ("pad_token", "[PAD]"),
    "unknown": ("unk_token", "[UNK]"),
    "start": ("cls_token", "[CLS]"),
    "end": ("sep_token", "[SEP]"),
    "mask": ("mask_token", "[MASK]"),
}


def read(source: SourceFolder) -> WordPieceTokenizer:
    """The tokenizer that cuts texts as the folder's does.

    Raises:
        ValueError: there is no vocabulary, or it is not cut into pieces as BERT does.
    """
    told = source.json("tokenizer_config.json") or {}
    whole = source.json("tokenizer.json")
    if whole is not None:
        vocabulary, rules = _from_json(whole)
    else:
        vocabulary, rules = _from_lines(source), {}
    # The library that wrote both lets the second say how.
    rules |= {
        name: told[name]
        for name in ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
        if name in told
    }
    if rules.get("tokenize_chinese_chars", True) is not True:
        raise ValueError("Chinese characters must be words, tokenize_chinese_chars true. Received: false.")
    lowercase, strip_accents = rules.get("do_lower_case", True), rules.get("strip_accents")
    if type(lowercase) is not bool or type(strip_accents) not in (bool, type(None)):
        raise ValueError(
            "do_lower_case must be true or false, strip_accents true, false or null. "
            f"Received: {lowercase!r:.40}, {strip_accents!r:.40}."
        )
    special = {name: _content(told.get(key, piece)) for name, (key, piece) in SPECIAL.items()}
    return WordPieceTokenizer(vocabulary, lowercase, strip_accents, **special)


def _content(piece):
    """A special piece: a text, or one with what else is said of it."""
    return str(piece.get("content") if isinstance(piece, dict) else piece)


def _from_json(whole):
    """(vocabulary, rules) of tokenizer.json; ValueError unless it is BERT's."""
    parts = {name: whole.get(name) or {} for name in ("model", "normalizer", "pre_tokenizer")}
    kinds = {"model": "WordPiece", "normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer"}
    for name, part in parts.items():
        found = part.get("type") if isinstance(part, dict) else part
        if found != kinds[name]:
            raise ValueError(f"tokenizer.json must have the {name} {kinds[name]}. Received: {found!r:.80}.")
    model, normalizer = parts["model"], parts["normalizer"]
    fixed = [
        ("continuing_subword_prefix", model.get("continuing_subword_prefix", "##"), "##"),
        ("max_input_chars_per_word", model.get("max_input_chars_per_word", 100), 100),
        ("clean_text", normalizer.get("clean_text", True), True),
    ]
    for name, found, expected in fixed:
        if found != expected:
            raise ValueError(f"{name} of tokenizer.json must be {expected!r}. Received: {found!r:.80}.")
    ids = model.get("vocab")
    if not isinstance(ids, dict) or sorted(ids.values(), key=str) != sorted(range(len(ids)), key=str):
        raise ValueError(
            "vocab of tokenizer.json must give each piece an id, from 0 on. Received: other ids."
        )
    rules = {
        "do_lower_case": normalizer.get("lowercase", True),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
    }
    return sorted(ids, key=ids.get), rules


def _from_lines(source):
    """The vocabulary of vocab.txt, a piece a line."""
    lines = source.lines("vocab.txt")
    if lines is None:
        raise ValueError(
            "A folder of this family holds tokenizer.json or vocab.txt. "
            f"Received: {source.path}, with neither."
        )
    return lines
