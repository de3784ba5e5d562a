"""Sub-words drawn at random from a SentencePiece model: the same text in other pieces at each draw.

The library can sample too, but from version 0.2.2 on two processes with the same seed draw differently,
and a training that was interrupted could not go on as it was. Here the library normalises, and lists the
segmentations of a word; the draws are Python's own, the same everywhere.
"""

import itertools
import math
import random
import re
from functools import lru_cache

from keras_transformer.installation import needs
from keras_transformer.texts import as_list

# Segmentations of a word that a unigram model's sample is drawn from.
NUM_SEGMENTATIONS = 64
# Words whose segmentations are remembered: nearly all that a text consists of.
CACHED_WORDS = 2**16
SPACE = "\u2581"
# SentencePiece's numbers for kinds of models and of pieces.
_BPE, _NORMAL, _USER_DEFINED = 2, 1, 4


class SubwordSampler:
    """Draws segmentations of texts.

    A word, with the space before it, is drawn by itself: no piece that `SentencePieceTokenizer.train` makes
    reaches across a space.

    - BPE: Provilkov et al. 2020, "BPE-Dropout", algorithm 1. A word begins as characters. At each step every
      merge of two neighbours is left out with probability `alpha`, and the best of the others is applied; the
      word is done when none is left.
    - Unigram: Kudo 2018, "Subword Regularization", section 3.2: a segmentation x of the best 64 of a word
      has the probability P(x)^alpha / sum. Spaces part words, so it is drawn for a sentence as from all
      combinations.

    Args:
        model: bytes of a SentencePiece model file.
        alpha: BPE: probability of leaving a merge out, 0 <= alpha <= 1; 0 always gives the pieces of
            `tokenize`, 1 characters; the paper has 0.1. Unigram: >= 0; the smaller, the more the draws
            differ: 0 makes all 64 equally likely; the paper has 0.1 to 0.5.
    Raises:
        ValueError: `alpha` is out of range.
    """

    def __init__(self, model: bytes, alpha: float):
        # As for training: tokenizing needs no more than tensorflow-text.
        with needs("text"):
            import sentencepiece
        from sentencepiece import sentencepiece_model_pb2

        proto = sentencepiece_model_pb2.ModelProto.FromString(model)
        is_bpe = proto.trainer_spec.model_type == _BPE
        if not 0 <= alpha <= (1 if is_bpe else math.inf):
            bound = "between 0 and 1 for BPE" if is_bpe else "at least 0"
            raise ValueError(f"`alpha` must be {bound}. Received: alpha={alpha}.")
        self.alpha = alpha
        self._normalize = sentencepiece.SentencePieceProcessor(model_proto=model).normalize
        self._ids = {piece.piece: id_ for id_, piece in enumerate(proto.pieces)}
        self._scores = [piece.score for piece in proto.pieces]
        # A merge is known by what it makes; the trainer found the one of the highest score first.
        self._merges = {piece.piece: -piece.score for piece in proto.pieces if piece.type == _NORMAL}
        symbols = [re.escape(piece.piece) for piece in proto.pieces if piece.type == _USER_DEFINED]
        self._symbols = (
            re.compile(f"({'|'.join(sorted(symbols, key=len, reverse=True))})") if symbols else None
        )
        # Words come normalised: they must not be so twice.
        proto.normalizer_spec.Clear()
        proto.normalizer_spec.add_dummy_prefix = False
        proto.normalizer_spec.remove_extra_whitespaces = False
        proto.normalizer_spec.escape_whitespaces = False
        self._words = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
        self._draw = self._merged if is_bpe else self._chosen
        # Of this object: a cache around the method would keep every sampler alive.
        self._segmentations = lru_cache(CACHED_WORDS)(self._segmentations)

    def sample(self, texts: list[str], seed: int) -> list[list[int]]:
        """Texts -> the ids of each, without special ids; the same seed gives the same draws everywhere."""
        draws = random.Random(seed)
        return [self._ids_of(text, draws) for text in as_list(texts)]

    def _ids_of(self, text: str, draws: random.Random) -> list[int]:
        ids = []
        for word in self._normalize(text).split(SPACE)[1:]:  # each begins with a space, the first too
            # Of a split every second part is a symbol, which is whole.
            parts = [SPACE + word] if self._symbols is None else self._symbols.split(SPACE + word)
            for place, part in enumerate(parts):
                ids += [self._ids[part]] if place % 2 else self._draw(part, draws) if part else []
        return ids

    def _merged(self, word: str, draws: random.Random) -> list[int]:
        pieces, merges, alpha, draw = list(word), self._merges, self.alpha, draws.random
        while True:
            best, place = math.inf, None
            for index in range(len(pieces) - 1):
                rank = merges.get(pieces[index] + pieces[index + 1])
                # The leftmost of equals, as in the library.
                if rank is not None and rank < best and draw() >= alpha:
                    best, place = rank, index
            if place is None:
                break
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return [id_ for piece in pieces for id_ in self._spelt(piece)]

    def _spelt(self, piece: str) -> list[int]:
        """The id of a piece, or the ids of its bytes: of a character that the model does not know."""
        id_ = self._ids.get(piece)
        return [id_] if id_ is not None else [self._ids[f"<0x{byte:02X}>"] for byte in piece.encode()]

    def _chosen(self, word: str, draws: random.Random) -> list[int]:
        segmentations, cumulative_weights = self._segmentations(word)
        return draws.choices(segmentations, cum_weights=cumulative_weights)[0]

    def _segmentations(self, word: str) -> tuple[list[list[int]], list[float]]:
        """The best segmentations of a word, and the running sum of their weights P(x)^alpha."""
        found = self._words.nbest_encode(word, nbest_size=NUM_SEGMENTATIONS)
        # Byte pieces score 0: an unknown character is in all segmentations, its score is no matter.
        scores = [sum(self._scores[id_] for id_ in ids) for ids in found]
        weights = [math.exp(self.alpha * (score - max(scores))) for score in scores]
        return found, list(itertools.accumulate(weights))
