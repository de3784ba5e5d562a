"""The formulas of positions in NumPy, float64, written for reading: see `tests/reference.py` for the axes."""

import math

import numpy as np

from tests import reference


def sinusoid(positions, width, max_wavelength=10_000, endpoint=False):
    """All sines, then all cosines. With the endpoint as in tensor2tensor's `get_timing_signal_1d`."""
    count = (width + 1) // 2
    last = (count - 1) if endpoint else width / 2
    rates = max_wavelength ** -(np.arange(count) / last if last else np.zeros(count))
    angles = np.asarray(positions, np.float64)[..., None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)[..., : width // 2]], axis=-1)


def rotary(heads, positions, layout="interleaved", max_wavelength=10_000):
    """Su et al. 2021, equation 34, with complex numbers: a pair times e^(i m theta). heads (B,H,T,K)."""
    heads = np.asarray(heads, np.float64)
    width = heads.shape[-1]
    pairs = heads.reshape(*heads.shape[:-1], width // 2, 2)
    if layout == "halves":
        pairs = np.stack([heads[..., : width // 2], heads[..., width // 2 :]], axis=-1)
    rates = max_wavelength ** (-2 * np.arange(width // 2) / width)
    turned = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * np.outer(positions, rates))
    if layout == "halves":
        return np.concatenate([turned.real, turned.imag], axis=-1)
    return np.stack([turned.real, turned.imag], axis=-1).reshape(heads.shape)


def alibi(slopes, query_positions, key_positions):
    """Press et al. 2022, section 3: (H,T,S)."""
    distance = np.abs(np.subtract.outer(np.asarray(query_positions), np.asarray(key_positions)))
    return -np.asarray(slopes, np.float64)[:, None, None] * distance


def bucket(distance, bidirectional=True, num_buckets=32, max_distance=128):
    """Raffel et al. 2020, section 2.1, of one distance, key minus query."""
    first = 0
    if bidirectional:
        num_buckets //= 2
        first = num_buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    single = num_buckets // 2
    if distance < single:
        return first + distance
    growth = math.log(distance / single) / math.log(max_distance / single)
    return first + min(single + int(growth * (num_buckets - single)), num_buckets - 1)


def relative_bias(embeddings, query_positions, key_positions, bidirectional=True, **sizes):
    """A row for each bucket, a column for each head: (H,T,S)."""
    sizes = {"num_buckets": len(embeddings), **sizes}
    found = [[bucket(s - t, bidirectional, **sizes) for s in key_positions] for t in query_positions]
    return np.asarray(embeddings, np.float64)[np.array(found)].transpose(2, 0, 1)


def shaw(query, key, value, relative_keys, relative_values, mask=None):
    """Shaw et al. 2018, equations 3 and 4, pair by pair. query (B,H,T,K), key (B,H,S,K), value (B,H,S,V)."""
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    (batch, heads, length, width), count = query.shape, key.shape[2]
    furthest = len(relative_keys) // 2
    rows = np.clip(np.arange(count)[None] - np.arange(length)[:, None], -furthest, furthest) + furthest
    scores = np.zeros((batch, heads, length, count))
    for t in range(length):
        for s in range(count):
            scores[:, :, t, s] = np.einsum(
                "bhk,bhk->bh", query[:, :, t], key[:, :, s] + relative_keys[rows[t, s]]
            )
    weights = reference.softmax(scores / np.sqrt(width), mask)
    output = np.zeros((batch, heads, length, value.shape[-1]))
    for t in range(length):
        for s in range(count):
            output[:, :, t] += weights[:, :, t, s, None] * (value[:, :, s] + relative_values[rows[t, s]])
    return output
