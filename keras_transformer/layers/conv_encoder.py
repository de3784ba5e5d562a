"""The encoder of ConvS2S (Gehring et al. 2017, section 3.2)."""

import keras
from keras import ops

from keras_transformer import arguments, masks
from keras_transformer.layers.gated_convolution import SQRT_HALF, ConvStack, GatedConvolution
from keras_transformer.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_transformer")
class ConvEncoder(ConvStack):
    """Embeddings -> a stack of residual gated convolutions -> the keys and values of the decoder.

    Gehring et al. 2017, sections 3.2 and 3.3. Paper symbols: d = hidden_dim, k = kernel_size,
    f = the input's width F.

    Args:
        num_layers: >= 1.
        hidden_dim: D, width of the convolutions, >= 1.
        kernel_size: k, positions that one convolution sees, >= 1.
        dropout: probability of dropping one value of a convolution's input, 0 <= p < 1.

    Call arguments:
        embedded: e, (B, S, F), embeddings with positions.
        hidden_mask: bool, (B, S); True = a real token. Padding counts as zeros in every convolution, like
            what lies beyond the ends: a result does not depend on how much of it there is. Keras's implicit
            mask of `embedded` if None.
        training: whether dropout is active.

    Returns:
        z, (B, S, F) in the compute dtype.

    Raises:
        ValueError: a size is not a positive integer.
    """

    def _layer(self, name):
        return GatedConvolution(self.kernel_size, dropout=self.dropout, dtype=self.dtype_policy, name=name)

    def build(self, embedded_shape: Shape) -> None:
        self._build_stack(embedded_shape)

    def call(
        self, embedded: Tensor, hidden_mask: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        hidden_mask = masks.implicit_mask(embedded, hidden_mask)
        arguments.check_vectors((None, None, self.width), embedded=embedded)
        arguments.check_masks(embedded.shape[:2], hidden_mask=hidden_mask)
        hidden = self.input_dense(embedded)
        for layer in self.layers:
            if hidden_mask is not None:
                hidden = ops.where(ops.cast(hidden_mask, "bool")[..., None], hidden, 0.0)
            hidden = (layer(hidden, training=training) + hidden) * SQRT_HALF
        return self.output_dense(hidden)

    def compute_output_shape(self, embedded_shape: Shape) -> Shape:
        return embedded_shape
