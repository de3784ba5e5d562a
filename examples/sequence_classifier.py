"""Classifies sentences, the Transformer's block in a functional model: python -m examples.sequence_classifier

Is the sentence grammatical? "the keys near the old door is lost" is not: the verb has to agree with a noun
that may stand far away, and another noun stands in between. All sentences are generated.
"""

import random

from command_line import quiet

with quiet.start_up():
    import keras
    import numpy as np

    from keras_transformer import layers, masks

NOUNS = (
    "author boat door farmer garden guard key letter lion neighbour painter river ship student tower".split()
)
ADJECTIVES = "big blue famous new old quiet small young".split()
PLACES = "above behind beside near under".split()
PREDICATES = "asleep beautiful far lost missing ready strange wet".split()
VERBS = [("is", "are"), ("was", "were"), ("looks", "look"), ("seems", "seem")]
ADVERBS = "always never often still".split()

WORDS = [*NOUNS, *(f"{noun}s" for noun in NOUNS), *ADJECTIVES, *PLACES, *PREDICATES, *ADVERBS]
WORDS += ["the", "that", *(form for forms in VERBS for form in forms)]
IDS = {word: index for index, word in enumerate(WORDS, start=1)}  # 0 is padding
VOCABULARY_SIZE = len(WORDS) + 1
MAX_LENGTH = 14


def noun_phrase(draw, number):
    """ "the old door" (number 0) or "the old doors" (number 1)."""
    adjective = [draw.choice(ADJECTIVES)] if draw.random() < 0.4 else []
    return ["the", *adjective, draw.choice(NOUNS) + "s" * number]


def sentence(draw, is_grammatical=True):
    """A list of words; with one or two nouns between the subject and its verb, of any number."""
    number = draw.randrange(2)
    words = noun_phrase(draw, number)
    for _ in range(draw.randint(1, 2)):
        words += [draw.choice(PLACES), *noun_phrase(draw, draw.randrange(2))]
    words.append(draw.choice(VERBS)[number if is_grammatical else 1 - number])
    if draw.random() < 0.5:
        words.append(draw.choice(ADVERBS))
    return [*words, draw.choice(PREDICATES)]


def padded(sentences):
    """Word ids, int32, (B, MAX_LENGTH), filled up with 0."""
    ids = np.zeros((len(sentences), MAX_LENGTH), "int32")
    for row, words in zip(ids, sentences, strict=True):
        row[: len(words)] = [IDS[word] for word in words]
    return ids


def labelled(number, seed):
    """Sentences and whether each is grammatical: a list, and integers (number,); half of them are."""
    draw = random.Random(seed)
    labels = np.arange(number) % 2
    return [sentence(draw, is_grammatical) for is_grammatical in labels.tolist()], labels


def classifier(hidden_dim=64, num_heads=4):
    """Token embedding, positions, two encoder layers, the mean over the words, a logit."""
    ids = keras.Input((None,), dtype="int32")
    is_word = masks.padding_mask(ids)
    hidden = layers.TokenEmbedding(VOCABULARY_SIZE, hidden_dim)(ids)
    hidden = layers.PositionalEncoding()(hidden)
    for _ in range(2):
        hidden = layers.EncoderLayer(num_heads, 2 * hidden_dim, dropout=0.1)(hidden, hidden_mask=is_word)
    pooled = keras.layers.GlobalAveragePooling1D()(hidden, mask=is_word)
    return keras.Model(ids, keras.layers.Dense(1)(pooled))


def agrees_with_the_nearest_noun(words):
    """What a reader believes who looks only at the verb and the last noun before it."""
    index, verb = next((index, pair) for index, word in enumerate(words) for pair in VERBS if word in pair)
    return verb[words[index - 1].endswith("s")] == words[index]


def main(num_training=10_000, epochs=4):
    """Trains on generated sentences, tests on others; returns accuracies of the model and of the baseline."""
    keras.utils.set_random_seed(0)
    sentences, labels = labelled(num_training, seed=0)
    test_sentences, test_labels = labelled(1_000, seed=1)
    print("grammatical:    ", " ".join(sentences[1]))
    print("not grammatical:", " ".join(sentences[2]))
    model = classifier()
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],  # of logits
    )
    model.fit(padded(sentences), labels, batch_size=64, epochs=epochs, verbose=2)
    accuracy = model.evaluate(padded(test_sentences), test_labels, verbose=0, return_dict=True)["accuracy"]
    guesses = [agrees_with_the_nearest_noun(words) for words in test_sentences]
    baseline = np.mean(guesses == test_labels)
    print(f"1,000 other sentences: {accuracy:.1%} right; by the nearest noun {baseline:.1%}")
    return accuracy, baseline


if __name__ == "__main__":
    main()
