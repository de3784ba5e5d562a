import gc
import io
import json
import sys
import unicodedata

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_transformer import tokenizers
from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.tokenizers import CharacterTokenizer, SentencePieceTokenizer

SENTENCES = [
    f"{who} {verb} {what}"
    for who in ("Ein Mann", "Eine Frau", "Zwei Kinder", "A dog", "Мужчина", "男の人")
    for verb in ("läuft über", "sitzt neben", "jumps over", "видит", "が")
    for what in ("die Straße.", "einen Zaun.", "the lake!", "собаку", "走る。", "자전거")
]
KINDS = ("bpe", "unigram", "bytes", "code_points")
TEXTS = ("Eine Frau jumps over 走る。", "", "Zaun", "the quick brown fox: 자전거 東京 😀")

# One example is a batch of texts: few calls of TensorFlow, many texts.
texts = st.lists(st.text(max_size=20), max_size=7)
fast = settings(max_examples=20, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def trained():
    return {
        "bpe": SentencePieceTokenizer.train(SENTENCES, vocabulary_size=331),
        "unigram": SentencePieceTokenizer.train(SENTENCES, 331, model_type="unigram"),
        "bytes": CharacterTokenizer("bytes"),
        "code_points": CharacterTokenizer.train(SENTENCES),
    }


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request, trained):
    return trained[request.param]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, marks=pytest.mark.slow) if kind in ("unigram", "bytes") else kind for kind in KINDS
    ],
)
def usual(request, trained):
    """As `tokenizer`; the second of each class before a release."""
    return trained[request.param]


@pytest.fixture(scope="module", params=KINDS[:2])
def sub_words(request, trained):
    return trained[request.param]


def decoded(strings):
    """Strings of TensorFlow as str; fails on invalid UTF-8."""
    return [s.decode("utf-8") for s in strings.numpy().ravel()]


def trained_bytes(**options):
    """A model as the SentencePiece package makes it by default."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=model, minloglevel=2, **options
    )
    return model.getvalue()


# Round trips


@fast
@given(texts)
def test_bytes_give_any_text_back(batch):
    tokenizer = CharacterTokenizer("bytes")
    assert decoded(tokenizer.detokenize(tokenizer.tokenize(batch))) == batch


@fast
@given(texts)
def test_code_points_give_any_text_of_their_characters_back(batch):
    tokenizer = CharacterTokenizer("code_points", sorted(set("".join(batch)) | {"a"}))
    assert decoded(tokenizer.detokenize(tokenizer.tokenize(batch))) == batch


@fast
@given(batch=texts)
def test_sub_words_give_any_text_back_as_normalised(sub_words, batch):
    normalise = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc").normalize
    expected = [normalise(text).removeprefix("▁").replace("▁", " ") for text in batch]
    assert decoded(sub_words.detokenize(sub_words.tokenize(batch))) == expected


def test_sub_words_give_a_normalised_text_back_exactly(sub_words):
    batch = [
        "Der 3. Mai: „ja“, 'nein' – & <b>?",
        "日本語のテキスト、한국어 문장",
        "Ёлка и ёж",
        "عربي ١٢٣",
        "👩‍🚀 🇩🇪",
        "</s><s> <pad> <unk> <0x41>",
    ]
    assert decoded(sub_words.detokenize(sub_words.tokenize(batch))) == batch


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ﬁn ｡ ½ ～", "fin 。 1⁄2 ～"),
        (" a\t\nb\u3000\u200b\u200cc \u2581 \ufeff\ufffdd ", "a b c d"),
        ("a\x01b\x7fc\x00d\x80e", "abc\x00d\x80e"),
        ("a\u200db\u200ec", "a\u200db c"),
    ],
)
def test_normalisation_is_the_documented_one(sub_words, text, expected):
    assert decoded(sub_words.detokenize(sub_words.tokenize([text]))) == [expected]


# Korean, Japanese, Arabic with vowel signs, Hindi, Thai, Vietnamese; composed and decomposed.
SCRIPTS = [
    "서울에서 만나요",
    "ガラスの仮面 ｶﾞﾗｽ",
    "مُحَمَّدٌ ١٢٣",
    "\u0958लम और \u095bरूरत",
    "เปียโนน้ำ",
    "Tiếng Việt",
]


@pytest.mark.parametrize("text", SCRIPTS)
def test_sub_words_of_equal_texts_are_equal_whatever_their_form(sub_words, text):
    forms = {text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))}
    assert len(forms) > 1 or text in (SCRIPTS[2], SCRIPTS[4])
    ids = sub_words.tokenize(sorted(forms)).to_list()
    assert all(row == ids[0] for row in ids)
    assert decoded(sub_words.detokenize(ids[:1])) == [unicodedata.normalize("NFKC", text)]


def test_marks_in_another_order_are_another_text(sub_words):
    typed = "مّ" + "َ"  # the sign of doubling first, as it is typed
    sorted_marks = unicodedata.normalize("NFC", typed)
    assert sorted_marks != typed and sorted(sorted_marks) == sorted(typed)
    first, second = sub_words.tokenize([typed, sorted_marks]).to_list()
    assert first != second


@pytest.mark.parametrize("text", SCRIPTS)
@pytest.mark.parametrize("unit", ["bytes", "code_points"])
def test_characters_keep_the_form_of_a_text(unit, text):
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC")]
    tokenizer = CharacterTokenizer.train(forms, unit)
    assert decoded(tokenizer.detokenize(tokenizer.tokenize(forms))) == forms


def test_a_text_that_is_cut_ends_with_a_whole_character(sub_words):
    text = "aé한👩\u200d🚀\ufffd"
    ids = CharacterTokenizer("bytes").tokenize([text]).to_list()[0]
    # Characters that are in no sentence of the training: each is spelt in bytes.
    spelt = sub_words.tokenize(["a𓀀ⵣ"]).to_list()[0]
    assert len(spelt) == 9
    for tokenizer, row, whole in ((CharacterTokenizer("bytes"), ids, text), (sub_words, spelt, "a𓀀ⵣ")):
        cut = decoded(tokenizer.detokenize(tf.ragged.constant([row[:n] for n in range(len(row) + 1)])))
        assert all(whole.startswith(found) for found in cut), cut
        assert cut[-1] == whole and len(set(cut)) == len(whole) + 1
    # Within a text, and without a beginning, bytes that are no character are still seen.
    for wrong in ([4 + 0xED, 4 + ord("x")], [4 + 0x80], [4 + 0x80] * 3):
        assert "\ufffd" in decoded(CharacterTokenizer("bytes").detokenize([wrong]))[0]


def test_lowercase_folds_case():
    tokenizer = SentencePieceTokenizer.train(SENTENCES, 331, lowercase=True)
    ids = tokenizer.tokenize(["Straße", "STRASSE", "МУЖЧИНА"])
    assert decoded(tokenizer.detokenize(ids)) == ["straße", "strasse", "мужчина"]


# Tokenize


def test_ids_are_those_of_the_sentencepiece_package(sub_words, tmp_path):
    sub_words.save(tmp_path)
    reference = sentencepiece.SentencePieceProcessor(str(tmp_path / "sentencepiece.model"))
    batch = SENTENCES[::7] + list(TEXTS)
    assert sub_words.tokenize(batch).to_list() == reference.encode(batch)


def test_ids_are_int32_without_special_ids_and_inside_the_vocabulary(tokenizer):
    ids = tokenizer.tokenize(["Ein Mann </s>", "<s> <pad>", *SENTENCES])
    assert ids.dtype == tf.int32
    present = set(ids.flat_values.numpy())
    assert not present & {PAD_ID, START_ID, END_ID}
    assert max(present) < tokenizer.vocabulary_size


def test_an_empty_batch_gives_an_empty_batch(tokenizer):
    assert tokenizer.tokenize([]).shape == (0, None)
    assert tokenizer.detokenize(np.zeros((0, 5), np.int32)).shape == (0,)


@fast
@given(batch=st.lists(st.binary(max_size=12), max_size=5))
def test_invalid_bytes_become_valid_text(tokenizer, batch):
    result = decoded(tokenizer.detokenize(tokenizer.tokenize(batch)))
    assert len(result) == len(batch)


def test_an_invalid_byte_reads_as_the_replacement_character():
    tokenizer = CharacterTokenizer("bytes")
    assert decoded(tokenizer.detokenize(tokenizer.tokenize([b"a\xffb\xe3\x81"]))) == ["a�b�"]


def test_bytes_are_numbered_from_4():
    tokenizer = CharacterTokenizer("bytes")
    assert tokenizer.vocabulary_size == 260
    assert tokenizer.tokenize(["\x00aé"]).to_list() == [[4, 4 + 97, 4 + 0xC3, 4 + 0xA9]]


def test_code_points_are_numbered_in_the_order_given_and_others_are_unknown():
    tokenizer = CharacterTokenizer("code_points", "bé漢a")
    assert tokenizer.vocabulary_size == 8
    expected = [[4, 5, 6, 7], [UNKNOWN_ID, 7, UNKNOWN_ID], []]
    assert tokenizer.tokenize(["bé漢a", "😀a!", ""]).to_list() == expected


def test_training_on_code_points_sorts_what_it_saw():
    tokenizer = CharacterTokenizer.train(["ba", "", "é a"])
    assert decoded(tokenizer.id_to_piece(tf.range(4, 8))) == [" ", "a", "b", "é"]
    assert CharacterTokenizer.train([], "bytes").vocabulary_size == 260


@pytest.mark.parametrize("text", ["one text", [["a", "b"]]])
def test_text_that_is_no_batch_is_refused(tokenizer, text):
    with pytest.raises(ValueError, match=r"`text` must be a batch of strings, \(B,\)"):
        tokenizer.tokenize(text)


# Detokenize


@fast
@given(data=st.data())
def test_any_ids_become_valid_text(tokenizer, data):
    id_ = st.integers(0, tokenizer.vocabulary_size - 1)
    rows = data.draw(st.lists(st.lists(id_, min_size=11, max_size=11), min_size=1, max_size=5))
    assert len(decoded(tokenizer.detokenize(rows))) == len(rows)


def test_text_ends_at_the_end_id_and_special_ids_are_left_out(tokenizer):
    ids = tokenizer.tokenize(["Zaun"])[0].numpy().tolist()
    rows = [
        [START_ID, *ids, END_ID, *ids, PAD_ID],
        [PAD_ID, PAD_ID, START_ID, *ids, END_ID, *ids],
        [END_ID, *ids, PAD_ID, PAD_ID, *ids],
        [PAD_ID] * (2 * len(ids) + 3),
    ]
    rows[2] = rows[2][: len(rows[3])]
    rows[1] = rows[1][: len(rows[3])]
    assert decoded(tokenizer.detokenize(rows)) == ["Zaun", "Zaun", "", ""]
    ragged = tf.RaggedTensor.from_row_lengths(rows[0], [len(rows[0])])
    assert decoded(tokenizer.detokenize(ragged)) == ["Zaun"]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_ids_may_have_any_integer_type(tokenizer, dtype):
    assert len(decoded(tokenizer.detokenize(np.array([[5, 7, 11]], dtype)))) == 1


@pytest.mark.parametrize("wrong", [-1, 1009])
@pytest.mark.parametrize("method", ["detokenize", "id_to_piece"])
def test_an_id_outside_the_vocabulary_raises_and_is_unknown_in_a_graph(tokenizer, method, wrong):
    call = getattr(tokenizer, method)
    last = tokenizer.vocabulary_size - 1
    with pytest.raises(ValueError, match=f"`ids` must be from 0 to {last}. Received: {wrong}."):
        call([[5, wrong]])
    in_graph = tf.function(call)(tf.constant([[5, wrong]]))
    assert decoded(in_graph) == decoded(call([[5, UNKNOWN_ID]]))


def test_ids_that_are_no_batch_are_refused(tokenizer):
    with pytest.raises(ValueError, match=r"`ids` must be a batch of rows, \(B, T\)"):
        tokenizer.detokenize([5, 7])


def test_pieces_have_the_shape_of_their_ids_and_join_to_the_text(tokenizer):
    ids = tokenizer.tokenize(["Ein Zaun"])
    pieces = tokenizer.id_to_piece(ids)
    assert pieces.row_lengths().numpy() == ids.row_lengths().numpy()
    assert decoded(tokenizer.id_to_piece([[PAD_ID, UNKNOWN_ID], [START_ID, END_ID]])) == [
        "<pad>",
        "<unk>",
        "<s>",
        "</s>",
    ]
    joined = "".join(decoded(pieces.flat_values))
    assert joined.replace("▁", " ").replace("<0x20>", " ").strip() == "Ein Zaun"
    assert tokenizer.id_to_piece(tf.ones((2, 3, 5), tf.int32)).shape == (2, 3, 5)


# In graphs


def test_eager_function_and_data_set_agree(usual):
    tokenizer = usual

    def there_and_back(text):
        ids = tokenizer.tokenize(text)
        return ids.to_tensor(), tokenizer.detokenize(ids), tokenizer.id_to_piece(ids.to_tensor())

    eager = there_and_back(tf.constant(TEXTS))
    text = tf.TensorSpec([None], tf.string)
    graph = tf.function(there_and_back, input_signature=[text])(tf.constant(TEXTS))
    dataset = tf.data.Dataset.from_tensors(list(TEXTS)).map(there_and_back)
    for expected, from_graph, from_dataset in zip(eager, graph, next(iter(dataset)), strict=True):
        np.testing.assert_array_equal(from_graph, expected)
        np.testing.assert_array_equal(from_dataset, expected)


def test_a_saved_model_carries_the_tokenizer(usual, tmp_path):
    tokenizer = usual

    class Echo(tf.Module):
        def __init__(self):
            super().__init__()
            self.tokenizer = tokenizer

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, text):
            ids = self.tokenizer.tokenize(text).to_tensor()
            return {"ids": ids, "text": self.tokenizer.detokenize(ids)}

    echo = Echo()
    expected = echo(tf.constant(TEXTS))
    tf.saved_model.save(echo, tmp_path / "echo", signatures=echo.__call__)
    del echo
    moved = (tmp_path / "echo").rename(tmp_path / "elsewhere")
    loaded = tf.saved_model.load(moved)
    for result in (
        loaded(tf.constant(TEXTS)),
        loaded.signatures["serving_default"](text=tf.constant(TEXTS)),
    ):
        np.testing.assert_array_equal(result["ids"], expected["ids"])
        np.testing.assert_array_equal(result["text"], expected["text"])


@pytest.mark.parametrize(
    "clear", [lambda: keras.utils.set_random_seed(7), lambda: keras.backend.clear_session()]
)
def test_clearing_the_kernel_cache_keeps_the_tokenizer(sub_words, tmp_path, clear):
    def ids_of(text):
        return sub_words.tokenize(text).to_tensor()

    module = tf.Module()
    module.tokenizer = sub_words
    module.ids_of = tf.function(ids_of, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    dataset = tf.data.Dataset.from_tensors(list(TEXTS)).map(ids_of)
    calls = [ids_of, module.ids_of, loaded.ids_of, lambda _: next(iter(dataset))]
    text = tf.constant(TEXTS)
    before = [call(text) for call in calls]
    clear()
    gc.collect()
    for call, expected in zip(calls, before, strict=True):
        np.testing.assert_array_equal(call(text), expected)


def test_a_tokenizer_says_what_it_is(trained):
    assert [repr(trained[kind]) for kind in KINDS[:3]] == [
        "SentencePieceTokenizer(331 pieces)",
        "SentencePieceTokenizer(331 pieces)",
        "CharacterTokenizer(bytes, 260 ids)",
    ]


@pytest.mark.parametrize("text", ["one text", b"one text"])
def test_samples_are_of_several_texts(sub_words, text):
    with pytest.raises(ValueError, match="`texts` must be a list of strings. Received: one string, "):
        sub_words.sampler(0.1).sample(text, seed=1)


# Files


def test_a_saved_tokenizer_comes_back(tokenizer, tmp_path, monkeypatch):
    tokenizer.save(tmp_path / "run" / "tokenizer")
    # Only training may need the sentencepiece package.
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    loaded = tokenizers.load(tmp_path / "run" / "tokenizer")
    assert type(loaded) is type(tokenizer)
    assert loaded.vocabulary_size == tokenizer.vocabulary_size
    batch = [*TEXTS, *SENTENCES[:5]]
    assert loaded.tokenize(batch).to_list() == tokenizer.tokenize(batch).to_list()


def test_characters_are_saved_as_readable_text(tmp_path):
    CharacterTokenizer("code_points", 'é"漢\n').save(tmp_path)
    text = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    assert "é" in text and "漢" in text
    assert json.loads(text)["characters"] == ["é", '"', "漢", "\n"]


def remove_the_model(folder):
    (folder / "sentencepiece.model").unlink()


def damage_the_model(folder):
    (folder / "sentencepiece.model").write_bytes(b"no model")


def exchange_the_model(folder):
    (folder / "sentencepiece.model").write_bytes(SentencePieceTokenizer.train(SENTENCES, 347)._model)


def rewrite(config):
    def write(folder):
        (folder / "tokenizer.json").write_text(config)

    return write


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "which has no tokenizer.json"),
        (remove_the_model, "which has no sentencepiece.model"),
        (damage_the_model, "must be the bytes of a SentencePiece model"),
        (exchange_the_model, "sentencepiece.model has 347 pieces"),
        (rewrite("{"), "Expecting property name"),
        (rewrite("[]"), "tokenizer.json must hold a JSON object"),
        (rewrite("[" * 100_000), "tokenizer.json must hold JSON"),
        (rewrite('{"kind": "runes"}'), "kind 'runes' is not known"),
        (rewrite('{"kind": "characters", "unit": "bytes"}'), "'characters'"),
    ],
)
def test_a_folder_without_a_sound_tokenizer_is_named(trained, tmp_path, damage, message):
    trained["bpe"].save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match="`folder` must hold a tokenizer") as caught:
        tokenizers.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert message in str(caught.value)


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="`folder` must hold a tokenizer.*nowhere"):
        tokenizers.load(tmp_path / "nowhere")


# Training


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_a_vocabulary_too_large_names_the_largest_possible(model_type):
    with pytest.raises(ValueError, match="must be at most") as caught:
        SentencePieceTokenizer.train(SENTENCES, 20_011, model_type)
    message = str(caught.value)
    assert "vocabulary_size=20011" in message and "\n" not in message
    largest = int(message.split("at most ")[1].split()[0])
    assert SentencePieceTokenizer.train(SENTENCES, largest, model_type).vocabulary_size == largest


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_a_vocabulary_too_small_names_the_smallest_possible(model_type):
    characters = set("".join(SENTENCES)) - {" "}
    smallest = 4 + 256 + 1 + len(characters)
    message = rf"`vocabulary_size` must be at least {smallest} .*vocabulary_size={smallest - 1}\."
    with pytest.raises(ValueError, match=message):
        SentencePieceTokenizer.train(SENTENCES, smallest - 1, model_type)
    assert SentencePieceTokenizer.train(SENTENCES, smallest, model_type).vocabulary_size == smallest


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_training_is_quiet_and_gives_the_same_model_again(trained, model_type, capfd):
    again = SentencePieceTokenizer.train(iter(SENTENCES), 331, model_type)
    assert again._model == trained[model_type]._model
    assert capfd.readouterr() == ("", "")


def test_a_sentence_of_any_length_teaches():
    tokenizer = SentencePieceTokenizer.train(["zebra " * 20_000 + "crossing " * 20_000], 285)
    pieces = tokenizer.id_to_piece(tokenizer.tokenize(["crossing zebra"]).flat_values)
    assert decoded(pieces) == ["▁crossing", "▁zebra"]


def test_rare_characters_are_spelt_in_bytes():
    sentences = ["aaaa bbbb " * 50 + "漢"]
    tokenizer = SentencePieceTokenizer.train(sentences, 265, character_coverage=0.99)
    pieces = tokenizer.id_to_piece(tokenizer.tokenize(["漢"]).flat_values)
    assert decoded(pieces) == ["▁", "<0xE6>", "<0xBC>", "<0xA2>"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"vocabulary_size": 0}, "`vocabulary_size` must be a positive integer.*=0"),
        ({"vocabulary_size": 300.0}, "`vocabulary_size` must be a positive integer.*=300.0"),
        ({"model_type": "word"}, "`model_type` must be .*'word'"),
        ({"character_coverage": 0.0}, "`character_coverage` must be above 0.*=0.0"),
        ({"character_coverage": 1.5}, "`character_coverage` must be above 0.*=1.5"),
        ({"sentences": []}, "`sentences` must hold at least one that is not empty"),
        ({"sentences": ["", " \n"]}, "`sentences` must hold at least one that is not empty"),
        ({"sentences": "one text"}, "`sentences` must be several strings"),
        ({"sentences": b"one text"}, "`sentences` must be several strings"),
        ({"sentences": ["a", 7]}, "`sentences` must be strings. Received: 7"),
        ({"sentences": ["a\ud800"]}, "surrogates not allowed"),
        ({"sentences": ["\x01"]}, "SentencePiece could not train on these sentences"),
    ],
)
def test_training_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        SentencePieceTokenizer.train(**{"sentences": SENTENCES, "vocabulary_size": 331} | change)


@pytest.mark.parametrize(
    "model, message",
    [
        (b"", "must be the bytes of a SentencePiece model.*bytes of length 0"),
        (b"garbage", "must be the bytes of a SentencePiece model.*bytes of length 7"),
        ("m.model", "must be the bytes of a SentencePiece model.*str of length 7"),
    ],
)
def test_bytes_that_are_no_model_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        SentencePieceTokenizer(model)


def test_a_model_with_other_special_ids_is_refused():
    with pytest.raises(ValueError, match="<pad>, <unk>, <s>, </s> as ids 0 to 3.*<unk>, <s>, </s>"):
        SentencePieceTokenizer(trained_bytes(vocab_size=71))


@pytest.mark.parametrize(
    "unit, characters, message",
    [
        ("words", (), "`unit` must be .*'words'"),
        ("bytes", "ab", "`characters` must be empty"),
        ("code_points", (), "`characters` must hold at least one"),
        ("code_points", ("a", "bc"), "must be single characters, each once.*'bc'"),
        ("code_points", "aba", "must be single characters, each once.*'a'"),
        ("code_points", ("\udc80",), "must be single characters, each once"),
        ("code_points", (7,), "must be single characters, each once.*7"),
    ],
)
def test_characters_refuse(unit, characters, message):
    with pytest.raises(ValueError, match=message):
        CharacterTokenizer(unit, characters)
