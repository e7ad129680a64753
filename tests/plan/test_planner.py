"""Storyboards become the segments that one counts by hand."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.boards import ASSET, board, plan_of, released, tiny
from tests.storyboard.boards import GRIZZLY, load, with_title
from ursa_ray.plan import ClipCondition, ImageCondition, ParentCondition, lint, plan_storyboard


def shown(plan):
    return [segment.shown for segment in plan.segments]


def test_a_minute_at_12_frames_a_second_has_720_frames():
    plan = plan_of({"duration": "1min"})
    assert (plan.num_frames, plan.seconds, plan.num_segments) == (720, 60.0, 20)
    assert shown(plan) == [(0, 49), *[(13, 49)] * 18, (13, 36)]


def test_the_example_of_the_design_has_the_segments_that_one_counts_by_hand(tmp_path):
    plan = plan_storyboard(load(with_title(tmp_path), GRIZZLY), released(), {"title": ASSET})
    assert [(shot.id, shot.num_frames, len(shot.segments)) for shot in plan.shots] == [
        ("forest", 240, 7),  # 49 + 5 * 36 + 11
        ("river", 144, 4),  # 4 * 36, the first of them after 13 frames of forest
        ("title", 48, 1),
    ]
    assert shown(plan) == [(0, 49), *[(13, 49)] * 5, (13, 24), *[(13, 49)] * 4, (0, 48)]
    assert plan.critical_path[0] == 11
    assert (plan.width, plan.height, plan.fps, plan.crf, plan.title) == (512, 320, 12, 18, "Grizzly at dawn")


lengths = st.integers(1, 130)
starts = st.sampled_from(["", "continue", "image", "video"])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(lengths, starts), min_size=1, max_size=6))
def test_film_ranges_tile_the_film(shots):
    raw = []
    for number, (frames, start) in enumerate(shots):
        begin = {"continue": f"s{number - 1}"} if start == "continue" and number else {}
        begin |= {start: "file"} if start in ("image", "video") else {}
        raw.append({"frames": frames} | begin)
    plan = plan_of(*raw)
    ranges = [segment.film for segment in plan.segments]
    assert ranges[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    assert ranges[-1][1] == plan.num_frames == sum(frames for frames, _ in shots)
    assert all(s.film[1] - s.film[0] == s.shown[1] - s.shown[0] > 0 for s in plan.segments)
    assert [shot.num_frames for shot in plan.shots] == [frames for frames, _ in shots]


def test_a_segment_is_conditioned_on_the_end_of_the_one_before_it():
    first, second, third = plan_of({"frames": 120}).segments
    assert first.condition is None
    assert second.condition == ParentCondition(first.key, 36, 49)
    assert third.condition == ParentCondition(second.key, 36, 49)


def test_a_continued_shot_is_conditioned_on_the_last_frames_that_the_film_shows_of_its_parent():
    parent, child = plan_of({"frames": 60}, {"frames": 36, "continue": "s0"}).shots
    assert parent.segments[-1].shown == (13, 24)
    assert child.segments[0].condition == ParentCondition(parent.segments[-1].key, 11, 24)
    assert child.segments[0].shown == (13, 49)


def test_after_a_shot_of_three_frames_only_the_last_one_is_given():
    parent, child = plan_of({"frames": 3}, {"frames": 50, "continue": "s0"}).shots
    assert child.segments[0].condition == ParentCondition(parent.segments[0].key, 2, 3)
    assert [segment.shown for segment in child.segments] == [(1, 49), (13, 15)]


def test_two_shots_may_continue_the_same_one():
    parent, left, right = plan_of({}, {"continue": "s0"}, {"continue": "s0"}).shots
    assert left.segments[0].parent == right.segments[0].parent == parent.segments[-1].key
    assert left.segments[0].key != right.segments[0].key


def test_a_start_image_is_the_first_frame_of_its_shot_and_is_not_noised():
    first, second = plan_of({"image": "still.png", "frames": 60}).segments
    assert first.condition == ImageCondition(ASSET, Path("still.png"))
    assert (first.shown, first.cond_noise) == ((0, 49), 0.0)
    assert (second.shown, second.cond_noise) == ((13, 24), 0.1)


def test_of_a_clip_only_what_follows_it_is_shown():
    first, second = plan_of({"video": "clip.mp4", "frames": 60}).segments
    assert first.condition == ClipCondition(ASSET, Path("clip.mp4"), 13, Fraction(12))
    assert (first.shown, first.cond_noise) == ((13, 49), 0.1)
    assert second.shown == (13, 37)


def test_noise_of_the_storyboard_is_on_given_frames_alone():
    plan = plan_of({"frames": 60}, {"image": "a.png"}, {"video": "a.mp4"}, segment={"cond_noise": 0.25})
    assert [segment.cond_noise for segment in plan.segments] == [0.0, 0.25, 0.0, 0.25]


def test_the_prompt_in_force_in_the_middle_of_the_new_frames_is_the_prompt():
    # Windows show [0, 49), [49, 85) and [85, 120): their middles are 24.5, 67 and 102.5.
    beats = ({"frame": 24, "prompt": "b"}, {"frame": 68, "prompt": "c"}, {"at": "8.5s", "prompt": "d"})
    prompts = [segment.prompt for segment in plan_of({"prompt": "a", "frames": 120, "beats": beats}).segments]
    assert prompts == ["motion=9.0, b", "motion=9.0, b", "motion=9.0, d"]


@pytest.mark.parametrize(("frame", "second"), [(67, "b"), (68, "a")])
def test_a_beat_at_the_middle_is_in_force(frame, second):
    prompts = [
        segment.prompt[-1]
        for segment in plan_of({"prompt": "a", "frames": 85, "beats": ({"frame": frame, "prompt": "b"},)}).segments
    ]
    assert prompts == ["a", second]


@pytest.mark.parametrize(("motion", "written"), [(5.0, "5.0"), (5, "5.0"), (0, "0.0"), (12.25, "12.2")])
def test_motion_is_written_before_the_prompt(motion, written):
    assert plan_of({"motion": motion, "prompt": "rain"}).segments[0].prompt == f"motion={written}, rain"


SETTINGS = {
    "negative_prompt": ("", "dull", "grey"),
    "guidance": (7.0, 6.0, 5.0),
    "guidance_trunc": (0.9, 0.8, 0.7),
    "flow_shift": (None, 2.0, 4.0),
    "steps": (50, 20, 30),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_shot_overrides_the_defaults_which_override_the_model(name):
    of_model, of_defaults, of_shot = SETTINGS[name]
    assert getattr(plan_of({}).segments[0], name) == of_model
    both = plan_of({}, {name: of_shot}, defaults={name: of_defaults})
    assert [getattr(segment, name) for segment in both.segments] == [of_defaults, of_shot]


def test_a_shot_may_set_what_the_defaults_set_back_to_nothing():
    defaults = {"negative_prompt": "dull", "motion": 9, "guidance": 7, "seed": 7}
    plan = plan_of({"negative_prompt": "", "motion": 0, "guidance": 0, "seed": 0}, defaults=defaults)
    segment = plan.segments[0]
    assert (segment.negative_prompt, segment.guidance, segment.prompt) == ("", 0.0, "motion=0.0, fog")
    assert segment.seed == plan_of({}, defaults={"seed": 0}).segments[0].seed


def test_what_the_storyboard_leaves_out_comes_from_the_model():
    plan = plan_of({"frames": 30}, checkpoint=tiny())
    assert (plan.width, plan.height, plan.fps) == (96, 64, 12)
    assert shown(plan) == [(0, 17), (5, 17), (5, 6)]
    assert {(s.num_frames, s.steps, s.max_prompt_length) for s in plan.segments} == {(17, 10, 64)}


def test_what_the_storyboard_says_of_sizes_is_taken():
    video = {"width": 64, "height": 32, "fps": "24000/1001"}
    plan = plan_of({"duration": "2s"}, checkpoint=tiny(), video=video, segment={"frames": 9, "overlap": 1})
    assert (plan.width, plan.height, plan.fps) == (64, 32, Fraction(24000, 1001))
    assert plan.num_frames == 48  # of 47.95
    assert shown(plan) == [(0, 9), *[(1, 9)] * 4, (1, 8)]


def test_a_shorter_segment_gets_an_overlap_of_about_a_quarter():
    assert shown(plan_of({"frames": 30}, segment={"frames": 17})) == [(0, 17), (5, 17), (5, 6)]


def test_seeds_depend_on_base_seed_shot_and_index_alone():
    def seeds(plan):
        return {segment.name: segment.seed for segment in plan.segments}

    alone = seeds(plan_of({"id": "b", "frames": 120}, defaults={"seed": 5}))
    among = plan_of({"id": "a"}, {"id": "b", "frames": 90, "prompt": "rain"}, defaults={"seed": 5, "steps": 9})
    assert seeds(among)["b[0]"] == alone["b[0]"]
    assert seeds(among)["b[1]"] == alone["b[1]"]
    assert seeds(plan_of({"id": "b", "frames": 120, "seed": 5})) == alone
    others = seeds(plan_of({"id": "b", "frames": 120, "seed": 6}))
    assert len({seeds(among)["a[0]"], *alone.values(), *others.values()}) == 1 + 3 + 3
    assert all(0 <= seed < 2**63 for seed in alone.values())


def test_ten_thousand_shots_in_one_chain_plan_in_seconds():
    storyboard = board(
        *({"frames": 36} | ({"continue": f"s{number - 1}"} if number else {}) for number in range(10_000))
    )
    started = perf_counter()
    plan = plan_storyboard(storyboard, released(), {})
    assert plan.critical_path[0] == plan.num_segments == 10_000
    assert len(lint(storyboard, released(), plan)) == 1
    assert perf_counter() - started < 5
