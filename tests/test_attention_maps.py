"""Pictures of attention: what is drawn in which panel, and what is refused."""

import numpy as np
import pytest

from keras_transformer import attention_maps

H, W, GRID = 5, 7, (2, 3)
IMAGE = np.random.default_rng(0).uniform(size=(H, W)).astype("float32")
WEIGHTS = np.random.default_rng(1).dirichlet(np.ones(6), 5).reshape(5, *GRID)
PIECES = ["a", "two", "at", "the", "left"]


def panels(figure):
    """Titles and pictures of the axes that show something; the colour bar's axes are not among them."""
    return [
        (axis.get_title(), [image.get_array() for image in axis.images])
        for axis in figure.axes
        if axis.images
    ]


@pytest.mark.parametrize("columns", [1, 3, 6])
def test_each_word_has_the_image_and_its_own_grid(columns, tmp_path):
    figure = attention_maps.attention_over_image(IMAGE, WEIGHTS, PIECES, title="t", columns=columns)
    found = panels(figure)
    assert [title for title, _ in found] == PIECES
    for (_, (image, grid)), weights in zip(found, WEIGHTS, strict=True):
        np.testing.assert_array_equal(image, IMAGE)
        np.testing.assert_array_equal(grid, weights)
    figure.savefig(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 1_000


def test_the_grid_covers_the_image_on_one_scale():
    figure = attention_maps.attention_over_image(IMAGE, WEIGHTS, PIECES)
    for axis in figure.axes[: len(PIECES)]:
        image, grid = axis.images
        assert tuple(image.get_extent()) == tuple(grid.get_extent())
        assert grid.get_clim() == (0, WEIGHTS.max()) and image.get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("shape", "dtype", "drawn"),
    [((H, W, 1), "float32", (H, W)), ((H, W, 3), "uint8", (H, W, 3)), ((H, W), "uint8", (H, W))],
)
def test_images_are_grey_or_coloured(shape, dtype, drawn):
    image = (200 * np.resize(IMAGE, shape)).astype(dtype) if dtype == "uint8" else np.resize(IMAGE, shape)
    figure = attention_maps.attention_over_image(image, WEIGHTS, PIECES)
    below = figure.axes[0].images[0]
    assert below.get_array().shape == drawn
    if dtype == "uint8" and len(drawn) == 2:
        assert below.get_clim() == (0, 255)


@pytest.mark.parametrize(
    ("image", "weights", "pieces", "message"),
    [
        (IMAGE[0], WEIGHTS, PIECES, r"`image` must be .*Received: shape \(7,\)"),
        (np.zeros((H, W, 2)), WEIGHTS, PIECES, r"`image` must be .*Received: shape \(5, 7, 2\)"),
        (IMAGE, WEIGHTS, PIECES[:-1], r"grid for each piece.*shape \(5, 2, 3\), 4 pieces"),
        (IMAGE, WEIGHTS.reshape(5, 6), PIECES, r"grid for each piece.*shape \(5, 6\), 5 pieces"),
        (IMAGE, WEIGHTS[:0], [], "at least one"),
    ],
)
def test_what_does_not_fit_is_refused(image, weights, pieces, message):
    with pytest.raises(ValueError, match=message):
        attention_maps.attention_over_image(image, weights, pieces)


def test_heads_have_a_panel_each():
    weights = np.random.default_rng(2).dirichlet(np.ones(3), (3, 2))  # (H, T, S)
    figure = attention_maps.attention_map(weights, ["x", "y", "z"], ["u", "v"], columns=2)
    found = panels(figure)
    assert [title for title, _ in found] == ["head 0", "head 1", "head 2"]
    for (_, (drawn,)), expected in zip(found, weights, strict=True):
        np.testing.assert_array_equal(drawn, expected)
    assert [title for title, _ in panels(attention_maps.attention_map(weights[0], "xyz", "uv"))] == [""]


def test_other_numbers_of_pieces_are_refused():
    with pytest.raises(ValueError, match=r"here \(2, 4\). Received: weights of shape \(2, 3\)"):
        attention_maps.attention_map(np.zeros((2, 3)), "wxyz", "uv")


def labels(figure):
    axis = figure.axes[0]
    return [[text.get_text() for text in side] for side in (axis.get_xticklabels(), axis.get_yticklabels())]


def test_every_piece_can_be_seen(tmp_path, recwarn):
    """No formula, no blank, no empty box: a character that no font has stands as its number."""
    source = ["$x$", " ", "\n", "\x00", "\u0434\u0430", "\U0010fffd", "_a"]
    figure = attention_maps.attention_map(np.full((1, 7), 1 / 7), source, ["\\"], title="$ \u0434")
    assert labels(figure) == [
        ["$x$", "\u2581", "\\n", "\\x00", "\u0434\u0430", "\\U0010fffd", "_a"],
        ["\\"],
    ]
    figure.savefig(tmp_path / "map.png")
    assert not recwarn.list


@pytest.mark.parametrize(("num_heads", "length"), [(1, 1), (1, 500), (5, 160)])
def test_a_figure_is_neither_too_small_for_its_title_nor_too_large_to_write(num_heads, length):
    weights = np.zeros((num_heads, length, length))
    figure = attention_maps.attention_map(weights, ["a"] * length, ["b"] * length)
    width, height = figure.get_size_inches()
    assert 3 < width < 42 and 2 < height < 42
    sizes = [text.get_fontsize() for text in figure.axes[0].get_xticklabels()]
    assert min(sizes) >= 4 and len(sizes) <= length
