"""What a plan would make anew, and why."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.boards import ASSET, board, plan_of, released
from ursa_ray.plan import difference, plan_storyboard, with_takes

# s0 has 3 segments, s1 goes on from the last of them with 2, s2 has one.
SHOTS = ({"frames": 100}, {"frames": 60, "continue": "s0"}, {"frames": 20})


def edited(number, **edit):
    return (*SHOTS[:number], SHOTS[number] | edit, *SHOTS[number + 1 :])


def keys(plan):
    return {segment.key for segment in plan.segments}


def new_names(found):
    return {segment.name for shot in found.shots for segment in shot.new}


def reasons(found):
    return {shot.id: shot.reasons for shot in found.shots if shot.reasons}


def of_rendered(before, after):
    """All of the last plan is committed."""
    return difference(after, before, keys(before))


def test_of_a_film_that_is_rendered_nothing_is_new():
    plan = plan_of(*SHOTS)
    found = of_rendered(plan, plan)
    assert (found.num_kept, found.num_new, found.num_unused, found.flops) == (6, 0, 0, 0)
    assert reasons(found) == {}


def test_without_a_plan_before_every_shot_is_new():
    plan = plan_of(*SHOTS)
    found = difference(plan, None, set())
    assert (found.num_kept, found.num_new, found.num_unused, found.flops) == (0, 6, 0, plan.flops)
    assert reasons(found) == {"s0": ("new shot",), "s1": ("new shot",), "s2": ("new shot",)}


def test_what_was_planned_and_not_committed_is_not_rendered_yet():
    plan = plan_of(*SHOTS)
    found = difference(plan, plan, {segment.key for segment in plan.segments[:2]})
    assert [(shot.num_segments, shot.num_kept) for shot in found.shots] == [(3, 2), (2, 0), (1, 0)]
    assert reasons(found) == {
        f"s{i}": (f"{name}: not rendered yet",) for i, name in enumerate(["s0[2]", "s1[0]", "s2[0]"])
    }


EDITS = {
    "prompt": ({"prompt": "rain"}, "prompt changed"),
    "motion": ({"motion": 5}, "motion changed (9.0 -> 5.0)"),
    "negative prompt": ({"negative_prompt": "dull"}, "negative prompt changed"),
    "steps": ({"steps": 25}, "steps changed (50 -> 25)"),
    "guidance": ({"guidance": 6}, "guidance changed (7.0 -> 6.0)"),
    "guidance_trunc": ({"guidance_trunc": 0.5}, "guidance_trunc changed (0.9 -> 0.5)"),
    "flow_shift": ({"flow_shift": 2}, "flow_shift changed (None -> 2.0)"),
    "seed": ({"seed": 5}, "seed changed"),
    "image": ({"image": "a.png"}, "starts from an image, before from nothing"),
    "clip": ({"video": "a.mp4"}, "starts from a clip, before from nothing"),
    "two": ({"prompt": "rain", "steps": 25}, "prompt changed, steps changed (50 -> 25)"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_a_shot_is_its_reason_and_its_parent_that_of_what_follows(name):
    edit, reason = EDITS[name]
    before, after = plan_of(*SHOTS), plan_of(*edited(0, **edit))
    found = of_rendered(before, after)
    assert reasons(found) == {"s0": (f"s0[0]: {reason}",), "s1": ("s1[0]: its parent s0[2] is new",)}
    assert new_names(found) == {"s0[0]", "s0[1]", "s0[2]", "s1[0]", "s1[1]"}
    assert found.num_unused == 5
    assert found.flops == sum(segment.flops for segment in after.segments[:5])


def test_a_beat_changes_what_comes_after_it():
    after = plan_of(*edited(0, beats=({"frame": 60, "prompt": "rain"},)))
    found = of_rendered(plan_of(*SHOTS), after)
    assert reasons(found) == {"s0": ("s0[1]: prompt changed",), "s1": ("s1[0]: its parent s0[2] is new",)}


TOP = [
    ({"video": {"width": 256, "height": 160}}, "size changed (512x320 -> 256x160)"),
    ({"segment": {"frames": 33, "overlap": 13}}, "segment frames changed (49 -> 33)"),
    ({"defaults": {"steps": 16}}, "steps changed (50 -> 16)"),
]


@pytest.mark.parametrize(("top", "reason"), TOP)
def test_an_edit_of_the_film_is_the_reason_of_every_shot(top, reason):
    found = of_rendered(plan_of(*SHOTS), plan_of(*SHOTS, **top))
    assert [shot.reasons[0].partition(": ")[2].startswith(reason) for shot in found.shots] == [True] * 3
    assert found.num_kept == 0


@pytest.mark.parametrize(
    ("segment", "second", "third"),
    [
        ({"overlap": 9}, "given frames changed (13 -> 9)", "given frames changed (13 -> 9)"),
        ({"cond_noise": 0.2}, "cond_noise changed (0.1 -> 0.2)", "cond_noise changed (0.1 -> 0.2)"),
        ({"join": "published"}, "way of joining changed", "way of joining changed"),
    ],
)
def test_what_concerns_given_frames_is_the_reason_where_frames_are_given(segment, second, third):
    shots = ({"frames": 60}, {"video": "clip.mp4"})
    found = of_rendered(plan_of(*shots), plan_of(*shots, segment=segment))
    after_parent, of_clip = reasons(found)["s0"], reasons(found)["s1"]
    assert after_parent[0].startswith("s0[1]: ") and after_parent[0].endswith(second)
    assert of_clip == (f"s1[0]: {third}",)


@pytest.mark.parametrize(("start", "reason"), [("image", "image changed"), ("video", "clip changed")])
def test_other_bytes_of_an_asset_are_its_reason(start, reason):
    shots = ({start: "file"}, {})
    found = of_rendered(plan_of(*shots), plan_of(*shots, asset="b" * 64))
    assert reasons(found) == {"s0": (f"s0[0]: {reason}",)}


def test_another_frame_rate_is_the_reason_of_what_follows_a_clip():
    shots = ({"video": "clip.mp4"}, {})
    found = of_rendered(plan_of(*shots), plan_of(*shots, video={"fps": 24}))
    assert reasons(found) == {"s0": ("s0[0]: frame rate changed (12 -> 24)",)}


def test_other_weights_are_the_reason_of_all():
    small, large = (plan_of(*SHOTS, checkpoint=released(f"BAAI/URSA-{size}-FSQ320")) for size in ("0.6B", "1.7B"))
    assert [shot.reasons[0].split(": ")[1] for shot in of_rendered(small, large).shots] == [
        "weights changed",
        "weights changed, its parent s0[2] is new",
        "weights changed",
    ]


def test_a_longer_shot_keeps_what_it_had_and_says_how_much_longer_it_is():
    found = of_rendered(plan_of(*SHOTS), plan_of(*edited(0, frames=180)))
    assert reasons(found) == {
        "s0": ("longer: 2 more segments",),
        "s1": ("s1[0]: goes on from s0[4], before from s0[2]",),
    }
    assert new_names(found) == {"s0[3]", "s0[4]", "s1[0]", "s1[1]"}
    assert found.num_unused == 2


def test_a_longer_and_edited_shot_says_both():
    found = of_rendered(plan_of(*SHOTS), plan_of(*edited(2, frames=60, prompt="rain")))
    assert reasons(found) == {"s2": ("s2[0]: prompt changed", "longer: 1 more segment")}


def test_a_shot_cut_elsewhere_in_its_last_segment_is_kept_and_what_follows_it_is_new():
    found = of_rendered(plan_of(*SHOTS), plan_of(*edited(0, frames=104)))
    assert reasons(found) == {"s1": ("s1[0]: its parent s0[2] is cut elsewhere",)}


def test_a_shorter_shot_leaves_segments_unused():
    found = of_rendered(plan_of(*SHOTS), plan_of(*edited(1, frames=20)))
    assert (found.num_new, found.num_unused) == (0, 1)


def test_a_shot_that_continues_another_one_now_says_which():
    found = of_rendered(
        plan_of({"frames": 49}, {"frames": 49}, {"continue": "s0"}),
        plan_of({"frames": 49}, {"frames": 49}, {"continue": "s1"}),
    )
    assert reasons(found) == {"s2": ("s2[0]: goes on from s1[0], before from s0[0]",)}


def test_a_parent_that_is_committed_from_an_earlier_version_is_another():
    first, second = plan_of(*SHOTS), plan_of(*edited(0, seed=5))
    found = difference(first, second, keys(second) | {segment.key for segment in first.segments[:3]})
    assert reasons(found) == {"s1": ("s1[0]: its parent s0[2] is another",)}


def test_an_edit_taken_back_is_kept():
    first, second = plan_of(*SHOTS), plan_of(*edited(0, prompt="rain"))
    found = difference(first, second, keys(first) | keys(second))
    assert (found.num_new, found.num_unused, reasons(found)) == (0, 5, {})


def test_shots_in_another_order_are_kept():
    before = plan_of({"id": "a", "frames": 60}, {"id": "b", "continue": "a"}, {"id": "c", "image": "c.png"})
    after = plan_of({"id": "c", "image": "c.png"}, {"id": "a", "frames": 60}, {"id": "b", "continue": "a"})
    found = of_rendered(before, after)
    assert (found.num_kept, found.num_new, found.num_unused) == (4, 0, 0)
    assert after.sha256 != before.sha256


def test_a_renamed_shot_is_a_new_shot():
    before, after = plan_of({"id": "a"}, {"id": "b"}), plan_of({"id": "other"}, {"id": "b"})
    found = of_rendered(before, after)
    assert reasons(found) == {"other": ("new shot",)}
    assert found.num_unused == 1


def test_a_take_is_the_reason_until_it_is_rendered():
    before = plan_of(*SHOTS)
    after = with_takes(before, {"s0[1]": 1})
    assert reasons(of_rendered(before, after)) == {
        "s0": ("s0[1]: retaken",),
        "s1": ("s1[0]: its parent s0[2] is new",),
    }
    assert reasons(difference(after, after, keys(before))) == {
        "s0": ("s0[1]: retaken, not rendered yet",),
        "s1": ("s1[0]: not rendered yet",),
    }


def test_a_key_made_in_another_way_says_so():
    before = plan_of({"frames": 20})
    (shot,) = before.shots
    (segment,) = shot.segments
    old = replace(before, shots=(replace(shot, segments=(replace(segment, key="made differently"),)),))
    assert reasons(of_rendered(old, before)) == {"s0": ("s0[0]: planned by another version of ursa-ray",)}


# Random films and edits. What decides a segment itself is counted out here frame by frame, with windows of 49 frames
# of which 13 are given; a shot has at least 13 frames, so that it can give as many.

FRAMES, OVERLAP = 49, 13


@st.composite
def films(draw):
    shots = []
    for number in range(draw(st.integers(1, 5))):
        start = draw(st.sampled_from(["nothing", "image", "video", "continue"]))
        if start == "continue" and not number:
            start = "nothing"
        num = draw(st.integers(OVERLAP, 160))
        shot = {"id": f"s{number}", "frames": num, "start": start, "prompt": "fog", "steps": 50, "seed": 0}
        shot["beat"] = draw(st.none() | st.integers(1, num - 1))
        shot["after"] = f"s{draw(st.integers(0, number - 1))}" if start == "continue" else None
        shots.append(shot | {"then": "rain", "asset": ASSET})
    return shots


def storyboard_of(shots):
    raw = []
    for shot in shots:
        one = {name: shot[name] for name in ("id", "frames", "prompt", "steps", "seed")}
        if shot["beat"] is not None:
            one["beats"] = ({"frame": shot["beat"], "prompt": shot["then"]},)
        if shot["after"] is not None:
            one["continue"] = shot["after"]
        if shot["start"] in ("image", "video"):
            one[shot["start"]] = "file"
        raw.append(one)
    return board(*raw)


def planned(shots, takes):
    assets = {shot["id"]: shot["asset"] for shot in shots}
    return with_takes(plan_storyboard(storyboard_of(shots), released(), assets), takes)


def deciding(shots, takes):
    """What decides each segment but its parent's frames, and the name of its parent."""
    segments, last = {}, {}
    for shot in shots:
        given = OVERLAP if shot["start"] in ("continue", "video") else 0
        begin, index, parent = 0, 0, last.get(shot["after"])
        while begin < shot["frames"]:
            end = min(begin + FRAMES - given, shot["frames"])
            follows_beat = shot["beat"] is not None and 2 * shot["beat"] <= begin + end
            own = [shot["then"] if follows_beat else shot["prompt"], shot["steps"], shot["seed"]]
            name = f"{shot['id']}[{index}]"
            own += [shot["start"], shot["asset"]] if index == 0 and shot["start"] in ("image", "video") else []
            segments[name] = ([*own, takes.get(name, 0), parent], parent and parent[0])
            parent = name, given + end - begin  # its last frames that are shown are given
            begin, index, given = end, index + 1, OVERLAP
        last[shot["id"]] = parent
    return segments


def changed_and_descendants(before, after):
    changed = set()
    for name, (own, parent) in after.items():
        if name not in before or own != before[name][0] or parent in changed:
            changed.add(name)
    return changed


EDITED = {"prompt": "snow", "then": "hail", "steps": 25, "seed": 5, "asset": "b" * 64}


def edit(draw, shots, takes):
    """One random edit of one shot."""
    number = draw(st.integers(0, len(shots) - 1))
    what = draw(st.sampled_from([*EDITED, "frames", "order", "insert", "take"]))
    shots = [dict(shot) for shot in shots]
    if what in EDITED:
        shots[number][what] = EDITED[what]
    elif what == "frames":
        shots[number]["frames"] = draw(st.integers(max(OVERLAP, (shots[number]["beat"] or 0) + 1), 200))
    elif what == "insert":
        new = {"id": f"new{len(shots)}", "start": "nothing", "after": None, "beat": None, "asset": ASSET}
        shots.insert(number, EDITED | new | {"frames": 60})
    elif what == "order":
        rank = {shot["id"]: draw(st.integers(0, 9)) for shot in shots}
        for shot in shots:
            rank[shot["id"]] = max(rank[shot["id"]], rank.get(shot["after"], 0))
        shots.sort(key=lambda shot: rank[shot["id"]])  # stable: a parent stays before its children
    else:
        name = draw(st.sampled_from(sorted(deciding(shots[number : number + 1], {}))))
        takes = takes | {name: takes.get(name, 0) + 1}
    return shots, takes


@settings(deadline=None, max_examples=100)
@given(st.data(), films())
def test_an_edit_makes_new_what_it_touches_and_what_is_conditioned_on_that_alone(data, film):
    shots, takes = film, {}
    for _ in range(data.draw(st.integers(1, 3))):
        shots_before, takes_before = shots, takes
        shots, takes = edit(data.draw, shots, takes)
        before, after = planned(shots_before, takes_before), planned(shots, takes)
        was, now = deciding(shots_before, takes_before), deciding(shots, takes)
        assert [segment.name for segment in after.segments] == list(now)
        expected = changed_and_descendants(was, now)
        found = of_rendered(before, after)
        assert new_names(found) == expected
        assert found.num_unused == len(was) - (len(now) - len(expected))
        assert {shot.id for shot in found.shots if shot.reasons} == {name.partition("[")[0] for name in expected}
        assert "another version" not in str(found)


@settings(deadline=None, max_examples=50)
@given(films(), st.randoms())
def test_what_is_kept_is_what_is_committed(film, random):
    plan = planned(film, {})
    committed = {segment.key for segment in plan.segments if random.random() < 0.5}
    found = difference(plan, plan, committed | {"of another film"})
    assert {segment.key for shot in found.shots for segment in shot.new} == keys(plan) - committed
    assert (found.num_kept, found.num_unused) == (len(committed), 1)
    assert found.flops == pytest.approx(sum(s.flops for s in plan.segments if s.key not in committed))
