"""Learning-rate schedules. Keras counts steps from 0, the formulas from 1."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import schedules
from tests import checks

WARMUP, TOTAL = 7, 31
ALL = {
    "transformer": schedules.TransformerSchedule(hidden_dim=64, warmup_steps=WARMUP, scale=2.0),
    "inverse_square_root": schedules.InverseSquareRootSchedule(peak=0.3, warmup_steps=WARMUP),
    "cosine": schedules.CosineSchedule(0.3, warmup_steps=WARMUP, total_steps=TOTAL, floor=0.1),
}
every = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)


def rates(schedule, steps=TOTAL):
    """Of the updates 1 to `steps`."""
    return np.array([float(schedule(step)) for step in range(steps)])


@every
def test_rises_until_the_warm_up_ends_and_falls_after(schedule):
    changes = np.diff(rates(schedule))
    assert (changes[: WARMUP - 1] > 0).all()
    assert (changes[WARMUP - 1 :] < 0).all()


@every
def test_growth_is_linear_from_the_first_update_on(schedule):
    first = rates(schedule)[0]
    assert first > 0, "the first update would be lost"
    np.testing.assert_allclose(rates(schedule, WARMUP), first * np.arange(1, WARMUP + 1), rtol=1e-5)


@pytest.mark.parametrize(
    "name, peak",
    [("transformer", 2 / 8 / 7**0.5), ("inverse_square_root", 0.3), ("cosine", 0.3)],
)
def test_value_at_the_peak(name, peak):
    assert rates(ALL[name]).max() == pytest.approx(peak, rel=1e-6)
    assert rates(ALL[name]).argmax() + 1 == WARMUP


def test_transformer_schedule_is_equation_three():
    schedule = schedules.TransformerSchedule(hidden_dim=512)
    for step in (1, 2, 100, 3999, 4000, 4001, 100_000):
        expected = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
        assert float(schedule(step - 1)) == pytest.approx(expected, rel=1e-5), step
    # The peak of the base model, as often quoted: 0.0007.
    assert float(schedule(3999)) == pytest.approx(6.987712e-4, rel=1e-5)


def test_inverse_square_root_falls_to_a_half_at_four_times_the_warm_up():
    schedule = ALL["inverse_square_root"]
    assert float(schedule(4 * WARMUP - 1)) == pytest.approx(0.15, rel=1e-5)
    assert float(schedule(100 * WARMUP - 1)) == pytest.approx(0.03, rel=1e-5)


def test_inverse_square_root_with_the_peak_of_the_paper_is_the_paper():
    paper = schedules.TransformerSchedule(hidden_dim=64, warmup_steps=WARMUP)
    peak = 64**-0.5 * WARMUP**-0.5
    same = schedules.InverseSquareRootSchedule(peak=peak, warmup_steps=WARMUP)
    np.testing.assert_allclose(rates(same), rates(paper), rtol=1e-5)


def test_cosine_passes_the_middle_and_stays_on_the_floor():
    schedule = ALL["cosine"]
    assert float(schedule((WARMUP + TOTAL) // 2 - 1)) == pytest.approx(0.2, rel=1e-5)
    for step in (TOTAL - 1, TOTAL, 10 * TOTAL):
        assert float(schedule(step)) == pytest.approx(0.1, rel=1e-5)


@every
@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_steps_of_any_type_in_a_graph(schedule, dtype):
    if dtype == "int64" and keras.backend.backend() == "jax":
        dtype = "int32"  # without x64, JAX has none
    step = ops.convert_to_tensor(11, dtype)
    for xla in (False, True) if dtype == "int32" else (False,):
        rate = checks.compiled(lambda step: schedule(step), xla)(step)
        assert keras.backend.standardize_dtype(rate.dtype) == "float32"
        assert float(rate) == pytest.approx(float(schedule(11)), rel=1e-6)


@every
def test_config_round_trip_inside_an_optimizer(schedule):
    optimizer = keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9)
    config = json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    again = keras.optimizers.deserialize(config)
    restored = again._learning_rate
    assert type(restored) is type(schedule)
    assert restored.get_config() == schedule.get_config()
    np.testing.assert_array_equal(rates(restored), rates(schedule))


@every
def test_optimizer_takes_the_first_rate_for_the_first_update(schedule):
    weight = keras.Variable(np.zeros(2, "float32"))
    optimizer = keras.optimizers.SGD(schedule)
    for updates in (1, 2):
        optimizer.apply([ops.ones(2)], [weight])
        assert weight.numpy()[0] == pytest.approx(-rates(schedule, updates).sum(), rel=1e-5)


def test_cosine_ends_after_its_warm_up_and_below_its_peak():
    with pytest.raises(ValueError, match="`total_steps`.*total_steps=7, warmup_steps=7"):
        schedules.CosineSchedule(0.1, warmup_steps=7, total_steps=7)
    with pytest.raises(ValueError, match="`floor`.*floor=0.2, peak=0.1"):
        schedules.CosineSchedule(0.1, warmup_steps=7, total_steps=9, floor=0.2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0, -1.0, "1", True])
def test_rates_are_positive_and_finite(value):
    for name, make in (
        ("scale", lambda: schedules.TransformerSchedule(8, scale=value)),
        ("peak", lambda: schedules.InverseSquareRootSchedule(value)),
        ("peak", lambda: schedules.CosineSchedule(value, 2, 5)),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a positive number. Received: {name}="):
            make()


@pytest.mark.parametrize("value", [0, -1, True, 2.0, 2.5, "2"])
def test_sizes_and_steps_are_counted_in_whole_numbers(value):
    for name, make in (
        ("hidden_dim", lambda: schedules.TransformerSchedule(value)),
        ("warmup_steps", lambda: schedules.TransformerSchedule(8, value)),
        ("warmup_steps", lambda: schedules.InverseSquareRootSchedule(1.0, value)),
        ("warmup_steps", lambda: schedules.CosineSchedule(1.0, value, 100)),
        ("total_steps", lambda: schedules.CosineSchedule(1.0, 1, value)),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a positive integer. Received: {name}="):
            make()
