"""Masks: small matrices that can be read by eye. 1 = may attend."""

import numpy as np
import pytest
from keras import ops

from keras_transformer import masks
from tests import checks


def rows(mask):
    """A bool matrix as text: one word of 0 and 1 for each row."""
    mask = checks.as_array(mask)
    assert mask.dtype == bool
    return " ".join("".join(str(int(allowed)) for allowed in row) for row in mask)


def test_padding_mask_marks_real_tokens():
    assert rows(masks.padding_mask(np.array([[7, 5, 3, 0, 0], [2, 0, 0, 0, 0]]))) == "11100 10000"


def test_padding_mask_takes_another_pad_id():
    assert rows(masks.padding_mask(np.array([[0, 5, 9, 9]]), pad_id=9)) == "1100"


def test_position_sees_itself_and_the_past():
    assert rows(masks.causal_mask(4)) == "1000 1100 1110 1111"


def test_local_mask_sees_both_sides():
    assert rows(masks.local_mask(5, window=1)) == "11000 11100 01110 00111 00011"


@pytest.mark.parametrize("window", range(7))
def test_local_mask_position_by_position(window):
    mask = checks.as_array(masks.local_mask(6, window))
    for query in range(6):
        for key in range(6):
            assert mask[query, key] == (abs(query - key) <= window)


def test_local_and_causal_mask_make_a_window_into_the_past():
    window = masks.combine(masks.local_mask(5, window=2), masks.causal_mask(5))
    assert rows(window) == "10000 11000 11100 01110 00111"


def test_window_is_not_negative():
    with pytest.raises(ValueError, match="`window` must not be negative.*window=-1"):
        masks.local_mask(5, window=-1)


def test_no_masks_combine_to_none():
    assert masks.combine() is None
    assert masks.combine(None, None) is None


def test_none_does_not_restrict():
    assert rows(masks.combine(None, masks.causal_mask(2), None)) == "10 11"


def test_masks_of_a_batch_and_of_positions_combine():
    real = ops.convert_to_tensor([[True, True, True], [True, False, False], [False, True, True]])
    for batch_mask in (real[:, None, :], ops.broadcast_to(real[:, None, :], (3, 3, 3))):
        combined = masks.combine(batch_mask, masks.causal_mask(3))
        assert tuple(combined.shape) == (3, 3, 3)
        assert rows(combined[0]) == "100 110 111"
        assert rows(combined[1]) == "100 100 100"
        assert rows(combined[2]) == "000 010 011"


def test_masks_do_not_change_when_combined():
    causal = masks.causal_mask(3)
    masks.combine(causal, masks.local_mask(3, window=0))
    assert rows(causal) == "100 110 111"
