"""The formulas of Bahdanau et al. 2015 and Luong et al. 2015 in NumPy, float64, one row and step at a time.

Legend: T queries, S keys, D hidden. A matrix W of the papers stands left of its vector, and so is the
transpose of a Keras kernel.
"""

import numpy as np

from tests import reference


def kernel(dense):
    """The paper's matrix of a `Dense` layer: (outputs, inputs)."""
    return dense.kernel.numpy().astype("float64").T


def score(layer, query, key):
    """Luong et al., equation 8; Bahdanau et al., A.1.2. query (D,), key (K,) -> a number."""
    name = type(layer).__name__
    if name == "DotScore":
        return query @ key / (np.sqrt(len(query)) if layer.scaled else 1)
    if name == "GeneralScore":
        return query @ kernel(layer.key_dense) @ key / (np.sqrt(len(query)) if layer.scaled else 1)
    v = kernel(layer.score_dense)[0]
    if name == "AdditiveScore":
        return v @ np.tanh(kernel(layer.query_dense) @ query + kernel(layer.key_dense) @ key)
    return v @ np.tanh(layer.kernel.numpy().astype("float64").T @ np.concatenate([query, key]))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def attend(layer, query, keys, mask):
    """Luong et al., equations 7, 9, 10. query (D,), keys (S, K), mask (S,) -> context (K,), weights (S,)."""
    keys, query = keys.astype("float64"), query.astype("float64")
    scores = np.array([score(layer.score, query, key) for key in keys])
    if layer.window is None:
        weights = reference.softmax(scores[None], mask[None])[0]
    else:
        inner = np.tanh(kernel(layer.position_inner) @ query)
        p = mask.sum() * sigmoid(kernel(layer.position)[0] @ inner)
        distance = np.arange(len(keys)) - p
        allowed = mask & (np.abs(distance) <= layer.window)
        sigma = layer.window / 2
        weights = reference.softmax(scores[None], allowed[None])[0]
        weights = weights * np.exp(-(distance**2) / (2 * sigma**2))
    return weights @ keys, weights


def bias(dense):
    return dense.bias.numpy().astype("float64")


def cell_step(cell, gates, states):
    """The cells' equations: what the input gives to the gates and the states (D,) -> the new states."""
    if type(cell).__name__ == "GRUCell":
        (h,) = states
        z, r, x = np.split(gates, 3)
        u_z, u_r, u = np.split(kernel(cell.recurrent_dense) @ h + bias(cell.recurrent_dense), 3)
        z, r = sigmoid(z + u_z), sigmoid(r + u_r)
        return [z * h + (1 - z) * np.tanh(x + r * u)]
    h, c = states
    i, f, g, o = np.split(gates + kernel(cell.recurrent_dense) @ h, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return [sigmoid(o) * np.tanh(c), c]


def cell_input(cell, x):
    return kernel(cell.input_dense) @ x + bias(cell.input_dense)


def decode(decoder, inputs, memory, mask, states):
    """Luong et al., section 3.3. inputs (T, E), memory (S, K), mask (S,) -> h~ (T, E), weights (T, S)."""
    fed, vectors, all_weights = np.zeros(decoder.output_dim), [], []
    states = [list(state) for state in states]
    for x in inputs.astype("float64"):
        gates = cell_input(decoder.cells[0], x) + kernel(decoder.feed_dense) @ fed
        for number, cell in enumerate(decoder.cells):
            if number:
                gates = cell_input(cell, states[number - 1][0])
            states[number] = cell_step(cell, gates, states[number])
        hidden = states[-1][0]
        if hasattr(decoder.attention, "score"):
            context, weights = attend(decoder.attention, hidden, memory, mask)
        else:
            context, weights = memory[mask][-1], np.zeros(len(mask))
        fed = np.tanh(kernel(decoder.output_dense) @ np.concatenate([context, hidden]))
        vectors.append(fed)
        all_weights.append(weights)
    return np.array(vectors), np.array(all_weights)


def zeros(decoder):
    return [[np.zeros(decoder.hidden_dim) for _ in range(cell.num_states)] for cell in decoder.cells]
