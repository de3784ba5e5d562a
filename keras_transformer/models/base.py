"""What every model of the zoo promises, so that one search and one export serve them all."""

import keras


class AutoregressiveModel(keras.Model):
    """A model that predicts the next token of a target from a source and the target so far.

    Subclasses give `call`, `initial_state` and `decode_step`; `keras_transformer.decoding` needs only
    the last two. Decoding step by step gives the same logits as one full `call`.
    """

    def initial_state(self, inputs, max_length):
        """Computes what stays the same at every step, and makes room for what is decoded.

        Args:
            inputs: the inputs of `call` without the target, say {"source_ids": (B, S)}.
            max_length: L, number of steps that will ever be taken; static.

        Returns:
            A tree of tensors. Every leaf has the batch first and a static length.
        """
        raise NotImplementedError

    def decode_step(self, token_ids, state, index):
        """Predicts the token after `token_ids`.

        Args:
            token_ids: int32, (B,), the tokens at position `index`; the start token at position 0.
            state: what `initial_state` or the last `decode_step` returned.
            index: the position, an integer scalar, 0 <= index < L.

        Returns:
            Logits, float32, (B, V), and the new state.
        """
        raise NotImplementedError

    def attention(self, state):
        """The attention to the source that the last `decode_step` computed.

        Args:
            state: what `decode_step` returned.

        Returns:
            (B, N, H, S): layers, heads, source positions.
        """
        raise NotImplementedError
