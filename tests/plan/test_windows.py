"""Windows cover a shot exactly, whatever the sizes."""

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ursa_ray.plan.windows import Window, split, tail

quick = settings(deadline=None, max_examples=200)


@st.composite
def shots(draw):
    """(num_frames, frames, overlap, first_given) as the planner gives them, with a stride of 4."""
    num_latents = draw(st.integers(2, 13))
    overlap = 1 + 4 * draw(st.integers(0, num_latents - 2))
    first_given = draw(st.sampled_from([0, *range(1, overlap + 1, 4)]))
    return draw(st.integers(1, 600)), 4 * num_latents - 3, overlap, first_given


@quick
@given(shots())
def test_the_shown_frames_tile_the_shot_once_and_in_order(shot):
    num_frames, *_ = shot
    assert [frame for window in split(*shot) for frame in range(window.start, window.stop)] == list(range(num_frames))


@quick
@given(shots())
def test_as_many_frames_are_shown_as_are_new(shot):
    for window in split(*shot):
        assert window.shown == (window.given, window.given + window.num_new)
        assert window.num_new >= 1


@quick
@given(shots())
def test_every_window_fits_into_what_the_model_makes_and_only_the_last_is_cut(shot):
    _, frames, *_ = shot
    *whole, last = [window.given + window.num_new for window in split(*shot)]
    assert set(whole) <= {frames}
    assert last <= frames


@quick
@given(shots())
def test_windows_after_the_first_repeat_the_overlap(shot):
    _, _, overlap, first_given = shot
    first, *others = [window.given for window in split(*shot)]
    assert first == first_given
    assert set(others) <= {overlap}


@quick
@given(shots())
def test_there_are_no_more_windows_than_needed(shot):
    num_frames, frames, overlap, first_given = shot
    left = max(0, num_frames - (frames - first_given))
    assert len(split(*shot)) == 1 + ceil(left / (frames - overlap))


def test_seven_windows_of_49_with_13_repeated_make_240_frames():
    starts = [0, 49, 85, 121, 157, 193, 229]
    assert split(240, 49, 13) == [
        Window(0, 49, given=0),
        *(Window(start, 36, given=13) for start in starts[1:-1]),
        Window(229, 11, given=13),
    ]


@quick
@given(stop=st.integers(1, 60), overlap=st.integers(0, 12).map(lambda n: 1 + 4 * n))
def test_a_tail_is_the_longest_that_conditions_and_is_there(stop, overlap):
    possible = [num for num in range(1, 61, 4) if num <= overlap and num <= stop]
    assert tail(stop, overlap, 4) == (stop - max(possible), stop)


@pytest.mark.parametrize(
    ("stop", "given"), [(49, (36, 49)), (13, (0, 13)), (12, (3, 12)), (9, (0, 9)), (3, (2, 3)), (1, (0, 1))]
)
def test_what_is_given_to_the_next_window_after_the_last_frame(stop, given):
    assert tail(stop, 13, 4) == given
