"""A take changes the seed of a segment, and with it the keys of what is conditioned on it; else nothing."""

import hashlib

import pytest

from tests.plan.boards import plan_of
from ursa_ray.errors import OptionError
from ursa_ray.plan import ParentCondition, choose_takes, take_again, with_takes

# s0 has 3 segments, s1 goes on from the last of them with 2, s2 has one.
SHOTS = ({"frames": 100}, {"frames": 60, "continue": "s0"}, {"frames": 20})


def keys(plan):
    return {segment.name: segment.key for segment in plan.segments}


def changed(before, after):
    return {name for name, key in keys(after).items() if key != keys(before)[name]}


def test_seeds_and_keys_are_those_of_films_that_were_planned_before_there_were_takes():
    shots = ({"frames": 60}, {"continue": "s0"}, {"video": "clip.mp4"}, {"image": "still.png"})
    plan = plan_of(*shots, defaults={"seed": 1234}, segment={"join": "restored"})
    assert [(segment.seed, segment.key[:16]) for segment in plan.segments] == [
        (2763582733369731182, "15ff906457cd132f"),
        (8876763906799733467, "96953b5c9b4a491e"),
        (3406966009147367395, "1f3f5c3ce0bd23a6"),
        (8500797920715385257, "0a58e55ac9bcebe7"),
        (6134388458840297905, "03363f96795ca98b"),
    ]
    assert plan.sha256 == "36a9045620ee334026780afa00ab32b5f2d4d1e446efa3a3b942224b9d91eba9"


@pytest.mark.parametrize("takes", [{}, {"s0[0]": 0}, {"gone[0]": 3, "s0[7]": 1}])
def test_without_takes_of_its_segments_a_plan_stays_what_it_is(takes):
    plan = plan_of(*SHOTS)
    assert with_takes(plan, takes) == plan


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ("s0[0]", {"s0[0]", "s0[1]", "s0[2]", "s1[0]", "s1[1]"}),
        ("s0[2]", {"s0[2]", "s1[0]", "s1[1]"}),
        ("s1[1]", {"s1[1]"}),
        ("s2[0]", {"s2[0]"}),
    ],
)
def test_a_take_changes_its_key_and_those_of_what_is_conditioned_on_it(taken, expected):
    plan = plan_of(*SHOTS)
    after = with_takes(plan, {taken: 1})
    assert changed(plan, after) == expected
    assert {s.name for s, first in zip(after.segments, plan.segments, strict=True) if s.seed != first.seed} == {taken}
    assert {s.name: s.take for s in after.segments if s.take} == {taken: 1}
    assert after.sha256 != plan.sha256


def test_what_is_conditioned_on_a_take_is_given_its_frames():
    after = with_takes(plan_of(*SHOTS), {"s0[0]": 2, "s0[2]": 1})
    by_name = {segment.name: segment for segment in after.segments}
    for child, parent, given in [
        ("s0[1]", "s0[0]", (36, 49)),
        ("s0[2]", "s0[1]", (36, 49)),
        ("s1[0]", "s0[2]", (15, 28)),
    ]:
        assert by_name[child].condition == ParentCondition(by_name[parent].key, *given)


def test_every_take_has_a_seed_of_its_own_that_follows_from_its_number():
    first = plan_of(*SHOTS).segments[0].seed
    seeds = [with_takes(plan_of(*SHOTS), {"s0[0]": take}).segments[0].seed for take in range(20)]
    assert len(set(seeds)) == 20
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds[3] == int(hashlib.sha256(f"{first}/3".encode()).hexdigest()[:16], 16) // 2


def test_a_shot_is_taken_again_whole_and_a_segment_alone():
    plan = plan_of(*SHOTS)
    assert take_again(plan, {}, {}, ["s0"]) == {"s0[0]": 1, "s0[1]": 1, "s0[2]": 1}
    assert take_again(plan, {}, {}, ["s0:1"]) == {"s0[1]": 1}
    assert take_again(plan, {}, {}, []) == {}


def test_parts_that_overlap_are_taken_again_once():
    assert take_again(plan_of(*SHOTS), {}, {}, ["s1", "s1:0", "s2", "s2"]) == {"s1[0]": 1, "s1[1]": 1, "s2[0]": 1}


def test_takes_count_on_from_those_of_the_run_which_stay():
    takes = {"s0[1]": 4, "gone[0]": 2}
    assert take_again(plan_of(*SHOTS), takes, takes, ["s0:1", "s1:0"]) == {"s0[1]": 5, "gone[0]": 2, "s1[0]": 1}
    assert takes == {"s0[1]": 4, "gone[0]": 2}


def test_a_take_that_no_finished_film_shows_is_not_taken_again():
    plan, shown = plan_of(*SHOTS), {"s0[1]": 1}
    asked = take_again(plan, shown, shown, ["s0"])
    assert asked == {"s0[0]": 1, "s0[1]": 2, "s0[2]": 1}
    assert take_again(plan, asked, shown, ["s0"]) == asked
    assert take_again(plan, asked, shown, ["s0:1", "s2"]) == asked | {"s2[0]": 1}
    assert take_again(plan, asked, asked, ["s0"]) == {"s0[0]": 2, "s0[1]": 3, "s0[2]": 2}


def test_a_take_is_chosen_of_a_whole_shot_or_of_a_segment_and_the_last_word_counts():
    takes = {"s0[1]": 4, "gone[0]": 2}
    assert choose_takes(plan_of(*SHOTS), takes, ["s0=3", "s0:1=1", "s2=1000"]) == {
        "s0[0]": 2,
        "s0[1]": 0,
        "s0[2]": 2,
        "s2[0]": 999,
        "gone[0]": 2,
    }
    assert takes == {"s0[1]": 4, "gone[0]": 2}


@pytest.mark.parametrize("choice", ["s0", "s0=", "s0=0", "s0=-1", "s0=1.5", "s0=two", "s0=10000", "=1", "s0=\u0661"])
def test_what_chooses_no_take_is_refused_with_what_does(choice):
    with pytest.raises(OptionError) as caught:
        choose_takes(plan_of(*SHOTS), {}, [choice])
    assert str(caught.value) == (
        f"--take {choice}: expected SHOT=TAKE or SHOT:SEGMENT=TAKE with a number up to 9,999, such as s0:0=1 for the "
        "first take of a segment."
    )


def test_a_take_of_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(OptionError, match=r'^--take s0:3=1: shot "s0" has no segment "3". Its segments are s0:0 to'):
        choose_takes(plan_of(*SHOTS), {}, ["s0:3=1"])


def test_an_earlier_take_that_no_finished_film_shows_yet_is_gone_on_with_too():
    plan, shown = plan_of(*SHOTS), {"s2[0]": 4}
    back = choose_takes(plan, shown, ["s2=2"])
    assert take_again(plan, back, shown, ["s2"]) == {"s2[0]": 1}
    assert take_again(plan, back, back, ["s2"]) == {"s2[0]": 2}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("s9", '--retake s9: there is no shot "s9". Shots: s0, s1, s2.'),
        ("", '--retake : there is no shot "". Shots: s0, s1, s2.'),
        ("s1[0]", '--retake s1[0]: there is no shot "s1[0]". Shots: s0, s1, s2.'),
        ("s0:3", '--retake s0:3: shot "s0" has no segment "3". Its segments are s0:0 to s0:2.'),
        ("s0:-1", '--retake s0:-1: shot "s0" has no segment "-1". Its segments are s0:0 to s0:2.'),
        ("s0:", '--retake s0:: shot "s0" has no segment "". Its segments are s0:0 to s0:2.'),
        ("s0:01", '--retake s0:01: shot "s0" has no segment "01". Its segments are s0:0 to s0:2.'),
        ("s2:1", '--retake s2:1: shot "s2" has no segment "1". Its only segment is s2:0.'),
    ],
)
def test_a_part_that_is_not_there_is_refused_with_those_that_are(part, message):
    with pytest.raises(OptionError) as caught:
        take_again(plan_of(*SHOTS), {}, {}, ["s0", part])
    assert str(caught.value) == message


def test_of_many_shots_the_first_are_named():
    plan = plan_of(*({"frames": 5} for _ in range(30)))
    with pytest.raises(OptionError, match=r"Shots: s0, s1, s2, s3, s4, s5, s6, s7, \.\.\.\.$"):
        take_again(plan, {}, {}, ["dawn"])
