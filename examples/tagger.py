"""Tags words, the Transformer's stack in a model of your own: python -m examples.tagger

Is Florence a person or a place? "Florence , as everybody knows , lies on a river": the word itself does not
tell, and what tells may stand far away. All sentences are generated.
"""

import random

from command_line import quiet

with quiet.start_up():
    import keras
    import numpy as np

    from keras_transformer import layers, losses, masks, metrics

NAMES = "Austin Brooklyn Chelsea Florence Jackson Jordan Lincoln Madison Paris Sydney Victoria".split()
TAGS = ["padding", "other", "person", "place"]
OTHER, PERSON, PLACE = 1, 2, 3
# What is said of a name, and how it is introduced; either tells what it is.
SAID = {
    PERSON: ["was born in May", "wrote a long letter", "fell asleep", "is an old friend", "likes to read"],
    PLACE: ["was founded in May", "lies on a river", "has two bridges", "is an old town", "is full of cafés"],
}
CALLED = {PERSON: ["our teacher", "my aunt", "a singer called"], PLACE: ["the village of", "a suburb called"]}
ASIDES = ["as everybody knows", "to be honest", "for all we know", "if I remember well"]

PHRASES = [*ASIDES, *(phrase for kind in (SAID, CALLED) for phrases in kind.values() for phrase in phrases)]

WORDS = [*NAMES, ",", "and", "unlike", *sorted({word for phrase in PHRASES for word in phrase.split()})]
IDS = {word: index for index, word in enumerate(WORDS, start=1)}  # 0 is padding
MAX_LENGTH = 25


def clause(draw):
    """(word, tag) pairs: a name, perhaps an aside or another name, and what is said of the first."""
    tag, other_tag = draw.choices([PERSON, PLACE], k=2)
    name, other_name = draw.sample(NAMES, 2)
    between = {
        0: [],
        1: [(", " + draw.choice(ASIDES) + " ,", OTHER)],
        2: [(", unlike " + draw.choice(CALLED[other_tag]), OTHER), (other_name, other_tag), (",", OTHER)],
    }[draw.randrange(3)]
    parts = [(name, tag), *between, (draw.choice(SAID[tag]), OTHER)]
    return [(word, tag) for text, tag in parts for word in text.split()]


def sentence(draw):
    """One clause, or two: (word, tag) pairs."""
    return clause(draw) + ([("and", OTHER), *clause(draw)] if draw.random() < 0.5 else [])


def generated(number, seed):
    """Word ids and tags, each int32, (number, MAX_LENGTH), filled up with 0."""
    draw = random.Random(seed)
    ids, tags = np.zeros((2, number, MAX_LENGTH), "int32")
    for row in range(number):
        words, kinds = zip(*sentence(draw), strict=True)
        ids[row, : len(words)] = [IDS[word] for word in words]
        tags[row, : len(words)] = kinds
    return ids, tags


class Tagger(keras.Model):
    """Token embedding, positions, an encoder, and the tag of each word."""

    def __init__(self, hidden_dim=64, num_heads=4):
        super().__init__()
        self.embedding = layers.TokenEmbedding(len(WORDS) + 1, hidden_dim)
        self.positions = layers.PositionalEncoding()
        self.encoder = layers.Encoder(2, num_heads, 2 * hidden_dim, dropout=0.1)
        self.tag = keras.layers.Dense(len(TAGS))

    def call(self, ids):
        hidden = self.positions(self.embedding(ids))
        return self.tag(self.encoder(hidden, hidden_mask=masks.padding_mask(ids)))


def most_frequent_tags(ids, tags):
    """The tag that each word has most often: an array, (words + 1,)."""
    counts = np.zeros((len(WORDS) + 1, len(TAGS)))
    np.add.at(counts, (ids, tags), 1)
    return counts.argmax(axis=1)


def main(num_training=5_000, epochs=5):
    """Trains on generated sentences, tests on others; returns accuracies of the names' tags."""
    keras.utils.set_random_seed(0)
    ids, tags = generated(num_training, seed=0)
    test_ids, test_tags = generated(1_000, seed=1)
    model = Tagger()
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=losses.SmoothedCrossEntropy(),  # padding counts for nothing
        metrics=[metrics.TokenAccuracy(name="accuracy")],
    )
    model.fit(ids, tags, batch_size=64, epochs=epochs, verbose=2)
    found = model.predict(test_ids, verbose=0).argmax(axis=-1)
    for words, kinds in zip(test_ids[:3], found, strict=False):
        pairs = [(WORDS[word - 1], TAGS[kind]) for word, kind in zip(words, kinds, strict=True) if word]
        print(*(word if tag == "other" else f"{word} [{tag}]" for word, tag in pairs))
    is_name = test_tags > OTHER
    accuracy = np.mean(found[is_name] == test_tags[is_name])
    baseline = np.mean(most_frequent_tags(ids, tags)[test_ids[is_name]] == test_tags[is_name])
    print(f"{is_name.sum():,} names: {accuracy:.1%} right; each name's most frequent tag {baseline:.1%}")
    return accuracy, baseline


if __name__ == "__main__":
    main()
