"""A key changes with what decides the codes, and with nothing else."""

import shutil
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plan.boards import plan_of, released, tiny
from tests.storyboards import write
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.plan import plan_storyboard
from ursa_ray.storyboard import load_storyboard

CHAIN = ({"frames": 60}, {"continue": "s0"}, {"video": "clip.mp4"}, {"image": "still.png"})


def keys(plan):
    return [segment.key for segment in plan.segments]


def keys_by_shot(plan):
    return {shot.id: keys(shot) for shot in plan.shots}


DECISIVE = {
    "prompt": "rain",
    "negative_prompt": "dull",
    "motion": 8.0,
    "seed": 1,
    "steps": 49,
    "guidance": 6.5,
    "guidance_trunc": 0.8,
    "flow_shift": 2.0,
    "beats": ({"frame": 1, "prompt": "rain"},),
}


@pytest.mark.parametrize("name", DECISIVE)
def test_a_setting_of_a_shot_that_decides_its_codes_changes_all_its_keys(name):
    before, after = plan_of({"frames": 60}), plan_of({"frames": 60, name: DECISIVE[name]})
    assert len({*keys(before), *keys(after)}) == 4


@pytest.mark.parametrize(
    "top",
    [
        {"video": {"width": 256, "height": 160}},
        {"segment": {"frames": 33, "overlap": 13}},
        {"defaults": {"seed": 1}},
        {"defaults": {"guidance": 1}},
    ],
)
def test_a_setting_of_the_film_that_decides_codes_changes_every_key(top):
    assert not {*keys(plan_of(*CHAIN))} & {*keys(plan_of(*CHAIN, **top))}


@pytest.mark.parametrize(
    "top",
    [
        {"title": "another"},
        {"output": {"crf": 30}},
        {
            "defaults": {
                "seed": 0,
                "motion": 9,
                "guidance": 7,
                "guidance_trunc": 0.9,
                "steps": 50,
                "negative_prompt": "",
            }
        },
        {
            "video": {"width": 512, "height": 320, "fps": 12},
            "segment": {"frames": 49, "overlap": 13, "cond_noise": 0.1},
        },
        {"model": "other-name"},
    ],
)
def test_what_does_not_decide_codes_and_what_was_so_anyway_change_no_key(top):
    assert keys(plan_of(*CHAIN)) == keys(plan_of(*CHAIN, **top))


def test_the_overlap_and_its_noise_change_the_keys_of_what_follows_frames_alone():
    before = plan_of(*CHAIN)
    for segment in ({"overlap": 9}, {"cond_noise": 0.2}):
        after = plan_of(*CHAIN, segment=segment)
        same = [one == other for one, other in zip(keys(before), keys(after), strict=True)]
        assert same == [True, False, False, False, True]


def test_the_way_of_joining_changes_the_keys_of_what_has_a_condition_alone():
    shots = ({"frames": 60}, {"image": "a.png"})
    restored, published = plan_of(*shots), plan_of(*shots, segment={"join": "published"})
    assert [segment.restore_condition for segment in restored.segments] == [False, True, True]
    assert [segment.restore_condition for segment in published.segments] == [False, False, False]
    assert [a == b for a, b in zip(keys(restored), keys(published), strict=True)] == [True, False, False]


def test_the_frame_rate_matters_to_given_clips_alone():
    before, after = keys_by_shot(plan_of(*CHAIN)), keys_by_shot(plan_of(*CHAIN, video={"fps": 24}))
    assert {shot for shot in before if before[shot] != after[shot]} == {"s2"}


def test_a_longer_shot_keeps_the_keys_it_had():
    assert keys(plan_of({"frames": 150}))[:3] == keys(plan_of({"frames": 120}))


def test_other_bytes_of_an_asset_change_the_keys_of_the_shots_that_start_from_it():
    before, after = keys_by_shot(plan_of(*CHAIN)), keys_by_shot(plan_of(*CHAIN, asset="b" * 64))
    assert {shot for shot in before if before[shot] != after[shot]} == {"s2", "s3"}


def test_the_names_of_asset_files_change_no_key():
    renamed = (*CHAIN[:2], {"video": "other.mp4"}, {"image": "x/y.webp"})
    assert keys(plan_of(*CHAIN)) == keys(plan_of(*renamed))


def test_an_image_and_a_clip_of_the_same_bytes_have_other_keys():
    assert keys(plan_of({"image": "a"})) != keys(plan_of({"video": "a"}))


def test_other_weights_change_every_key(tmp_path):
    shutil.copytree(TINY, tmp_path / "same")
    shutil.copytree(TINY, tmp_path / "other")
    config = tmp_path / "other" / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text() + " ")

    def of(name):
        return keys(plan_of({"frames": 30}, checkpoint=open_checkpoint(str(name))))

    assert of(tmp_path / "same") == of("tiny")
    assert not {*of(tmp_path / "other")} & {*of("tiny")}


def test_models_that_are_not_on_this_machine_are_told_apart_by_name():
    small, large = (plan_of({}, checkpoint=released(f"BAAI/URSA-{size}-FSQ320")) for size in ("0.6B", "1.7B"))
    assert keys(small) != keys(large)


def test_the_longest_prompt_is_part_of_the_key():
    assert keys(plan_of({}, checkpoint=tiny())) != keys(plan_of({}, checkpoint=tiny(max_prompt_length=65)))


def test_the_folder_of_a_storyboard_changes_no_key(tmp_path):
    text = "version: 1\nmodel: tiny\nshots: [{id: a, prompt: fog, frames: 9, image: a.png}]\n"
    plans = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        path = write(folder, text)
        (folder / "a.png").write_bytes(b"PNG")
        plans.append(plan_storyboard(load_storyboard(path), tiny(), {"a": "c" * 64}))
    assert keys(plans[0]) == keys(plans[1])
    assert plans[0].sha256 == plans[1].sha256
    assert plans[0].segments[0].condition.path != plans[1].segments[0].condition.path


@st.composite
def forests(draw):
    """The number of the shot that each continues, or None; and one shot to edit."""
    num = draw(st.integers(1, 8))
    parents = [draw(st.sampled_from([None, *range(number)])) for number in range(num)]
    return parents, draw(st.integers(0, num - 1))


def forest_shots(parents):
    return [{"frames": 50} | ({} if parent is None else {"continue": f"s{parent}"}) for parent in parents]


@settings(deadline=None, max_examples=60)
@given(forests(), st.sampled_from(["prompt", "seed", "steps"]))
def test_an_edited_shot_changes_its_keys_and_those_of_its_descendants_alone(forest, setting):
    parents, edited = forest
    descendants = {edited}
    for number, parent in enumerate(parents):
        if parent in descendants:
            descendants.add(number)
    shots = forest_shots(parents)
    before = keys_by_shot(plan_of(*shots))
    shots[edited] |= {setting: DECISIVE[setting]}
    after = keys_by_shot(plan_of(*shots))
    for number in range(len(parents)):
        common = {*before[f"s{number}"]} & {*after[f"s{number}"]}
        assert common == (set() if number in descendants else {*before[f"s{number}"]})


@settings(deadline=None, max_examples=30)
@given(forests(), st.integers(0, 8))
def test_an_inserted_shot_changes_no_other_key(forest, place):
    parents, _ = forest
    shots = [{"id": f"s{number}"} | shot for number, shot in enumerate(forest_shots(parents))]
    before = keys_by_shot(plan_of(*shots))
    shots.insert(min(place, len(shots)), {"id": "new"})
    after = keys_by_shot(plan_of(*shots))
    assert {shot: after[shot] for shot in before} == before


def test_all_segments_of_a_film_have_keys_of_their_own():
    plan = plan_of(
        {"frames": 200}, {"frames": 200}, {"frames": 200, "continue": "s0"}, {"frames": 200, "continue": "s0"}
    )
    assert len(plan.by_key) == plan.num_segments
    assert all(len(key) == 64 for key in plan.by_key)


def test_the_hash_of_a_plan_changes_with_what_the_film_shows():
    plan = plan_of(*CHAIN)
    assert plan.sha256 == plan_of(*CHAIN).sha256
    others = [
        plan_of(*CHAIN, title="another"),
        plan_of(*CHAIN, output={"crf": 30}),
        plan_of(*CHAIN[:2], *reversed(CHAIN[2:])),
        plan_of({"frames": 59}, *CHAIN[1:]),
        replace(plan, fps=plan.fps * 2),
    ]
    assert len({plan.sha256, *(other.sha256 for other in others)}) == 6
