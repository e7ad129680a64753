from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ursa_ray.media import nearest_frames, num_retimed

rates = st.fractions(min_value=6, max_value=120, max_denominator=1001)


def retimed(num_frames, fps, to):
    """The numbers of the frames that are shown."""
    frames = (np.full((1, 1, 3), number, np.uint16) for number in range(num_frames))
    return [int(frame[0, 0, 0]) for frame in nearest_frames(frames, num_frames, Fraction(fps), Fraction(to))]


@pytest.mark.parametrize(
    ("num_frames", "fps", "to", "shown"),
    [
        (4, 12, 24, [0, 0, 1, 1, 2, 2, 3, 3]),
        (6, 12, 6, [1, 3, 5]),
        (6, 24, 12, [1, 3, 5]),
        (4, 12, 30, [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]),
        (5, 10, 10, [0, 1, 2, 3, 4]),
        (6, 12, 8, [0, 2, 3, 5]),
        (3, 12, 1, [2]),
    ],
    ids=["twice", "half", "half of 24", "two and a half", "same", "two of three", "a quarter of a second as one frame"],
)
def test_of_each_instant_the_frame_of_its_middle_is_shown(num_frames, fps, to, shown):
    assert retimed(num_frames, fps, to) == shown


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), rates, rates)
def test_the_duration_is_kept_and_frames_stay_in_order(num_frames, fps, to):
    shown = retimed(num_frames, fps, to)
    assert len(shown) == num_retimed(num_frames, fps, to)
    assert abs(len(shown) / to - num_frames / fps) <= 1 / to / 2 or len(shown) == 1
    assert shown == sorted(shown)
    # A frame is shown at a distance of half a new frame and a whole old one from its own time, at most.
    assert all(abs(index / to - old / fps) <= 1 / to / 2 + 1 / fps for index, old in enumerate(shown[:-1]))


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), rates)
def test_a_film_at_its_own_rate_is_unchanged(num_frames, fps):
    assert retimed(num_frames, fps, fps) == list(range(num_frames))


def test_what_goes_wrong_after_the_last_frame_is_passed_on():
    def frames():
        yield from np.zeros((4, 1, 1, 3), np.uint8)
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        list(nearest_frames(frames(), 4, Fraction(12), Fraction(6)))
