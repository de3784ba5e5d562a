"""The formulas of the papers in NumPy, float64, written for reading: what the layers must equal.

Vaswani et al. 2017, and Gehring et al. 2017 for convolutions. Legend of the axes:

    B batch   T queries, target   S keys, source   H heads
    D hidden  K one head's keys   V one head's values, or vocabulary

Masks are bool, True = may attend. Weights come as lists in the order of the layer's `get_weights()`.
"""

import numpy as np


def softmax(scores, mask=None):
    """Over the last axis, of the allowed entries only. A row without any is all zeros."""
    if mask is None:
        mask = np.ones(scores.shape, bool)
    mask = np.broadcast_to(mask, scores.shape)
    weights = np.zeros(scores.shape, np.float64)
    for row in np.ndindex(scores.shape[:-1]):
        allowed = mask[row]
        if allowed.any():
            exponentials = np.exp(scores[row][allowed] - scores[row][allowed].max())
            weights[row][allowed] = exponentials / exponentials.sum()
    return weights


def attention(query, key, value, mask=None, bias=0.0):
    """Equation 1. query (B,H,T,K), key (B,H,S,K), value (B,H,S,V) -> (B,H,T,V), weights (B,H,T,S)."""
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    scores = np.einsum("bhtk,bhsk->bhts", query, key) / np.sqrt(query.shape[-1])
    weights = softmax(scores + bias, mask)
    return np.einsum("bhts,bhsv->bhtv", weights, value), weights


def multi_head_attention(weights, query, value, key=None, mask=None, bias=0.0):
    """Section 3.2.2. query (B,T,D), value (B,S,D), key (B,S,D) -> (B,T,D), weights (B,H,T,S).

    weights: kernel (D,H,K) and bias (H,K) of query, key, value; kernel (H,V,D) and bias (D) of the
    output. mask: broadcastable to (B,H,T,S).
    """
    wq, bq, wk, bk, wv, bv, wo, bo = (np.asarray(w, np.float64) for w in weights)
    key = value if key is None else key

    def heads(x, kernel, bias):
        return np.einsum("btd,dhk->bhtk", x, kernel) + bias[:, None, :]

    attended, attention_weights = attention(
        heads(query, wq, bq), heads(key, wk, bk), heads(value, wv, bv), mask, bias
    )
    return np.einsum("bhtv,hvd->btd", attended, wo) + bo, attention_weights


def feed_forward(weights, x):
    """Equation 2: max(0, x W1 + b1) W2 + b2."""
    w1, b1, w2, b2 = weights
    return np.maximum(0.0, x @ w1 + b1) @ w2 + b2


def layer_norm(weights, x, epsilon=1e-6):
    """Ba et al. 2016, equation 4, over the last axis."""
    gamma, beta = weights
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def sublayer(norm, x, function, norm_first=False):
    """Section 3.1: LayerNorm(x + f(x)); norm first (Xiong et al. 2020): x + f(LayerNorm(x))."""
    if norm_first:
        return x + function(layer_norm(norm, x))
    return layer_norm(norm, x + function(x))


def sublayer_weights(layer):
    """The weights of an encoder or decoder layer: lists of attentions, of networks and of norms.

    Each list is in the order of the sub-layers: self-attention, (attention to memory,) feed-forward.
    """
    attention, network, norm = [], [], []
    for weight in layer.weights:
        _, owner, _ = weight.path.rsplit("/", 2)
        group = network if owner in ("intermediate", "output") else attention
        group = norm if owner == "norm" else group
        group.append(weight.numpy().astype(np.float64))

    def chunks(group, size):
        return [group[start : start + size] for start in range(0, len(group), size)]

    return chunks(attention, 8), chunks(network, 4), chunks(norm, 2)


def encoder_layer(weights, x, mask=None, norm_first=False):
    """Section 3.1. weights of `sublayer_weights`; x (B,T,D); mask broadcastable to (B,H,T,T)."""
    (self_attention,), (network,), norms = weights
    x = sublayer(
        norms[0],
        x.astype(np.float64),
        lambda h: multi_head_attention(self_attention, h, h, mask=mask)[0],
        norm_first,
    )
    return sublayer(norms[1], x, lambda h: feed_forward(network, h), norm_first)


def decoder_layer(weights, x, memory, mask=None, memory_mask=None, norm_first=False):
    """Section 3.1. x (B,T,D), memory (B,S,D), mask beside the causal one, memory_mask: as above."""
    (self_attention, cross_attention), (network,), norms = weights
    length = x.shape[1]
    causal = np.tril(np.ones((length, length), bool))
    mask = causal if mask is None else causal & mask
    x = sublayer(
        norms[0],
        x.astype(np.float64),
        lambda h: multi_head_attention(self_attention, h, h, mask=mask)[0],
        norm_first,
    )
    x = sublayer(
        norms[1],
        x,
        lambda h: multi_head_attention(cross_attention, h, memory, mask=memory_mask)[0],
        norm_first,
    )
    return sublayer(norms[2], x, lambda h: feed_forward(network, h), norm_first)


def sinusoid(positions, width, max_wavelength=10_000):
    """Section 3.5: PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos(the same). (T,D)."""
    encoding = np.zeros((len(positions), width), np.float64)
    for row, position in enumerate(positions):
        for i in range(0, width, 2):
            angle = position / max_wavelength ** (i / width)
            encoding[row, i] = np.sin(angle)
            if i + 1 < width:
                encoding[row, i + 1] = np.cos(angle)
    return encoding


def grid_sinusoid(height, width, channels):
    """Carion et al. 2020: the row's sinusoid in the first half of the channels, the column's in the rest."""
    half = channels // 2
    encoding = np.zeros((height, width, channels), np.float64)
    encoding[..., :half] = sinusoid(range(height), half)[:, None]
    encoding[..., half:] = sinusoid(range(width), channels - half)[None]
    return encoding


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gated_convolution(weights, x, causal=False):
    """Gehring et al. 2017, section 3.2. kernel (k,D,2D), bias (2D); x (B,T,D) -> (B,T,D)."""
    kernel, bias = (np.asarray(w, np.float64) for w in weights)
    size, (_, length, width) = len(kernel), x.shape
    first = -(size - 1) if causal else -((size - 1) // 2)
    output = np.zeros(x.shape, np.float64)
    for t in range(length):
        total = np.zeros((len(x), 2 * width)) + bias
        for place in range(size):
            if 0 <= t + first + place < length:
                total += x[:, t + first + place] @ kernel[place]
        output[:, t] = total[:, :width] * sigmoid(total[:, width:])
    return output


def conv_encoder(first, convolutions, last, e, mask):
    """Sections 3.2 and 3.4. Weights of the maps and convolutions; e (B,S,F); mask (B,S) -> z (B,S,F)."""
    x = e @ first[0] + first[1]
    for weights in convolutions:
        x = np.where(mask[..., None], x, 0.0)
        x = (gated_convolution(weights, x) + x) * np.sqrt(0.5)
    return x @ last[0] + last[1]


def conv_decoder_layer(weights, x, g, z, e, mask):
    """Sections 3.3 and 3.4. x (B,T,D), g (B,T,F), z and e (B,S,F), mask (B,S) -> (B,T,D), weights (B,T,S).

    weights: kernel and bias of the convolution, of the map D to F and of the map F to D.
    """
    kernel, bias, to_query, query_bias, to_hidden, hidden_bias = weights
    h = gated_convolution((kernel, bias), x, causal=True)
    d = (h @ to_query + query_bias + g) * np.sqrt(0.5)
    a = softmax(np.einsum("btf,bsf->bts", d, z), mask[:, None, :])
    c = np.einsum("bts,bsf->btf", a, (z + e) * np.sqrt(0.5))
    m = mask.sum(axis=1)[:, None, None]
    c = c * np.sqrt(m)  # m sqrt(1 / m)
    h = (h + c @ to_hidden + hidden_bias) * np.sqrt(0.5)
    return (h + x) * np.sqrt(0.5), a


def smoothed_cross_entropy(labels, logits, label_smoothing=0.0, pad_id=0):
    """Section 5.4. labels (B,T), logits (B,T,V) -> value of each token (B,T), mean over real tokens.

    The target of a token is a distribution over V ids: (1 - epsilon) on the label, and epsilon
    spread evenly over the whole vocabulary, the label included.
    """
    vocabulary = logits.shape[-1]
    targets = (1 - label_smoothing) * np.eye(vocabulary)[labels] + label_smoothing / vocabulary
    log_probabilities = np.log(softmax(np.asarray(logits, np.float64)))
    values = -(targets * log_probabilities).sum(axis=-1)
    return values, values[labels != pad_id].mean()
