"""Where films are cut: segments whose frames say whose they are, and which moment of the film they show."""

from dataclasses import replace

import numpy as np
import pytest

from tests.plan.boards import plan_of
from ursa_ray.media import cut_film, num_before_cut


def frame(value):
    return np.full((2, 2, 3), value, np.uint8)


def reader(plan, wrong=None):
    """Frames that all segments agree on, but for what is `wrong`: (number of the segment, frame of it) -> error."""
    first = {segment.key: (number, segment.film[0] - segment.shown[0]) for number, segment in enumerate(plan.segments)}

    def read(segment, start, stop):
        number, offset = first[segment.key]
        return (frame(offset + i + (wrong or {}).get((number, i), 0)) for i in range(start, stop))

    return read


def film_of(plan, wrong=None):
    return [int(each[0, 0, 0]) for _, each in cut_film(plan, reader(plan, wrong))]


@pytest.fixture
def plan():
    """17 + 12 + 12 frames in three segments that repeat 5, and a shot of one that goes on after the middle of them."""
    plan = plan_of({"frames": 41}, {"frames": 12, "continue": "s0"}, segment={"frames": 17, "overlap": 5})
    assert [segment.shown for segment in plan.segments] == [(0, 17), (5, 17), (5, 17), (5, 17)]
    return plan


def test_a_film_is_cut_where_both_segments_agree_best(plan):
    disagree = {(1, i): error for i, error in enumerate([9, 9, 1, 9, 9])}
    film = list(cut_film(plan, reader(plan, disagree)))
    first = next(position for position, (number, _) in enumerate(film) if number == 1)
    assert first == 17 - 5 + 3  # the third of the five is the parent's last
    assert [int(each[0, 0, 0]) for _, each in film][10:20] == [10, 11, 12, 13, 14, 15 + 9, 16 + 9, 17, 18, 19]


@pytest.mark.parametrize("cut", ["end", "agreeing"])
def test_every_moment_is_shown_once(plan, cut):
    assert film_of(replace(plan, cut=cut)) == list(range(53))


def test_cut_at_the_end_the_film_shows_nothing_that_was_made_again(plan):
    wrong = {(number, i): 99 for number in (1, 2, 3) for i in range(5)}
    assert film_of(replace(plan, cut="end"), wrong) == list(range(53))


def test_a_shot_that_goes_on_elsewhere_is_not_mixed_with_the_one_before_it_in_the_film():
    plan = plan_of(
        {"frames": 17}, {"frames": 17}, {"frames": 12, "continue": "s0"}, segment={"frames": 17, "overlap": 5}
    )
    wrong = {(2, i): 99 for i in range(5)}
    assert film_of(plan, wrong) == list(range(46))


def test_a_parent_that_shows_less_than_its_child_repeats_gives_what_it_shows():
    plan = plan_of({"frames": 19}, {"frames": 12, "continue": "s0"}, segment={"frames": 17, "overlap": 5})
    parent, child = plan.segments[1:]
    assert (parent.shown, child.condition.stop) == ((5, 7), 7)
    wrong = {(2, 0): 99, (2, 1): 99, (2, 2): 99, (2, 3): 5, (2, 4): 3}
    assert film_of(plan, wrong) == list(range(31))


def test_of_equal_agreements_the_first_is_taken():
    same = [frame(7)] * 4
    assert num_before_cut(same, same) == 1
    assert num_before_cut([], []) == 0
