"""What the studio shows is a function of plan, ledger and what is underway."""

from dataclasses import replace

import pytest

from tests.storyboards import TWO_CHAINS, write
from ursa_ray.plan import with_takes
from ursa_ray.prepare import prepare
from ursa_ray.studio.markup import status
from ursa_ray.studio.pictures import beginning
from ursa_ray.studio.view import Facts, Film, Phase, Plays, State, view

HOLDER = "process 1 on somewhere since 2026-01-01"


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Segments left[0], left[1], right[0], right[1], right[2] and after[0], of 4 steps each."""
    return prepare(write(tmp_path_factory.mktemp("board"), TWO_CHAINS)).plan


def keys(plan, *names):
    return frozenset(segment.key for segment in plan.segments if segment.name in names)


def everything(plan):
    return frozenset(plan.by_key)


def test_of_a_run_that_is_not_there_a_film_can_be_rendered_and_nothing_else():
    shown = view(Facts())
    assert (shown.phase, shown.can_render, shown.can_cancel, shown.can_retake) == (Phase.EMPTY, True, False, False)


def test_between_its_start_and_its_lease_a_render_is_starting_and_can_be_cancelled():
    shown = view(Facts(is_starting=True, can_cancel=True))
    assert (shown.phase, shown.can_render, shown.can_cancel) == (Phase.STARTING, False, True)


def test_every_segment_is_shown_with_what_it_is_at(plan):
    (begun,) = keys(plan, "right[0]")
    (failed,) = keys(plan, "after[0]")
    made = keys(plan, "left[0]")
    facts = Facts(plan, made, made, {begun: 3}, {failed: "NaN"})
    states = {segment.name: (segment.state, segment.num_done) for segment in view(facts).segments}
    assert states["left[0]"] == (State.MADE, 4)
    assert states["right[0]"] == (State.BEGUN, 3)
    assert states["after[0]"] == (State.FAILED, 0)
    assert states["left[1]"] == states["right[1]"] == (State.WAITING, 0)


def test_a_segment_that_failed_before_is_not_told_as_failed_while_it_is_tried_again(plan):
    (failed,) = keys(plan, "after[0]")
    shown = view(Facts(plan, failed={failed: "NaN"}, holder=HOLDER))
    assert {segment.state for segment in shown.segments} == {State.WAITING}


def test_the_bar_counts_steps_and_not_only_whole_segments(plan):
    (begun,) = keys(plan, "right[0]")
    made = keys(plan, "left[0]", "left[1]")
    of = {segment.key: segment.flops for segment in plan.segments}
    expected = (sum(of[key] for key in made) + of[begun] / 2) / sum(of.values())
    assert view(Facts(plan, made, made, {begun: 2})).share == pytest.approx(expected)


def test_only_the_beginning_without_a_gap_can_be_played(plan):
    framed = keys(plan, "left[0]", "left[1]", "right[1]", "after[0]")
    shown = view(Facts(plan, framed, framed))
    # left has 24 frames, at 12 a second.
    assert (shown.num_playable, shown.seconds_playable) == (2, 2.0)


def test_what_is_committed_without_frames_cannot_be_played(plan):
    assert view(Facts(plan, everything(plan), frozenset())).num_playable == 0


def test_a_film_that_ends_after_some_segments_has_their_frames(plan):
    begun = beginning(plan, 3)
    assert [(shot.id, len(shot.segments)) for shot in begun.shots] == [("left", 2), ("right", 1)]
    # 17 frames are a segment's, of which the first shows all.
    assert begun.num_frames == 24 + 17
    assert begun.segments == plan.segments[:3]


@pytest.mark.parametrize(
    ("made", "holder", "film", "phase"),
    [
        ((), HOLDER, None, Phase.RENDERING),
        ("all", HOLDER, None, Phase.JOINING),
        ("all", None, None, Phase.PAUSED),
        ("all", None, "sha", Phase.FINISHED),
        ("all", HOLDER, "sha", Phase.STARTING),
        (("left[0]",), None, None, Phase.PAUSED),
    ],
)
def test_what_a_run_is_at(plan, made, holder, film, phase):
    there = everything(plan) if made == "all" else keys(plan, *made)
    assert view(Facts(plan, there, there, holder=holder, film=film)).phase is phase


def test_while_somebody_renders_nothing_else_can_be_begun(plan):
    made = keys(plan, "left[0]")
    facts = Facts(plan, made, made, holder=HOLDER, can_cancel=True)
    shown = view(facts)
    assert (shown.can_render, shown.can_retake, shown.can_cancel) == (False, False, True)
    idle = view(replace(facts, holder=None))
    assert (idle.can_render, idle.can_retake, idle.can_cancel) == (True, True, False)


def test_what_was_told_to_end_is_ending_and_is_not_told_again(plan):
    for facts in (Facts(is_starting=True), Facts(plan, holder=HOLDER), Facts(plan, film="sha")):
        shown = view(replace(facts, can_cancel=True, is_ending=True))
        assert (shown.phase, shown.is_busy, shown.can_cancel, shown.can_render) == (Phase.ENDING, True, False, False)
        assert "Ending" in status(shown)


def test_a_render_on_another_machine_cannot_be_cancelled_here(plan):
    assert not view(Facts(plan, holder=HOLDER, can_cancel=False)).can_cancel


def test_what_is_made_can_be_taken_again_by_shot_and_by_segment(plan):
    shown = view(Facts(plan, keys(plan, "left[0]", "left[1]", "after[0]")))
    # `after` has one segment, so that the shot is the segment.
    assert shown.parts == ("left", "left[0]", "left[1]", "after")


def test_what_there_is_to_play_is_the_film_then_what_is_newer_than_the_one_before_then_that(plan):
    kept, framed = Film("sha", plan), keys(plan, "left[0]")
    changed = with_takes(plan, {"left[1]": 1})
    new = framed | {changed.segments[1].key}
    assert view(Facts(plan, framed=framed)).plays is Plays.BEGINNING
    assert view(Facts(plan, film="sha")).plays is Plays.WHOLE
    assert view(Facts(changed, framed=framed, film_before=kept)).plays is Plays.BEFORE
    assert view(Facts(changed, framed=new, film_before=kept)).plays is Plays.BEGINNING
    assert view(Facts(changed, framed=frozenset(), film_before=kept)).plays is Plays.BEFORE
    assert view(Facts(plan)).plays is None


def test_what_starts_tells_no_numbers_of_the_film_before_it(plan):
    everything_made = Facts(plan, everything(plan), everything(plan), film="sha", holder=HOLDER)
    assert "Starting" in status(view(everything_made)) and "segments" not in status(view(everything_made))
    assert "6 of 6 segments" in status(view(replace(everything_made, holder=None)))


def test_the_last_second_is_told_without_an_about(plan):
    assert ", less than 1 s left" in status(view(Facts(plan, holder=HOLDER, seconds_left=0.4)))
    assert ", about 12 s left" in status(view(Facts(plan, holder=HOLDER, seconds_left=12.3)))


def test_what_ended_before_anything_was_made_is_told_as_failed():
    assert "Failed" in status(view(Facts(complaint="Invalid value"))) and "Nothing" in status(view(Facts()))


def test_why_a_render_ended_is_told_until_the_next_begins_or_the_film_is_there(plan):
    facts = Facts(plan, complaint="no space left on device")
    assert view(facts).complaint
    assert not view(replace(facts, holder=HOLDER)).complaint
    assert not view(replace(facts, film="sha")).complaint
