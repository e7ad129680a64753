"""`ursa-ray evaluate` as users meet it: what the scorer is given, what is told of it, what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suites import files
from ursa_ray.checkpoint.released import RELEASED
from ursa_ray.files import file_sha256
from ursa_ray.ledger import Run
from ursa_ray.suites.images import IMAGES
from ursa_ray.suites.videos import VIDEOS

FAST = ("--model", "tiny", "--steps", "2", "--device", "cpu")
JOB = Path(__file__).parents[1] / "jobs" / "evaluate.py"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_suite_is_sampled_with_what_it_was_sampled_with_beside_it(run_command, tmp_path):
    prompts = files.geneval(tmp_path)
    code, out, _ = run_command("evaluate", "geneval", "--prompts", prompts, "--out", "out", "-n", "2", *FAST, "--json")
    assert code == 0
    summary = json.loads(out.splitlines()[-1])
    assert summary == json.loads(Path("out-run/evaluation.json").read_text())
    assert (summary["num_prompts"], summary["num_samples"], summary["num_files"]) == (2, 4, 4)
    assert summary["files"] == {"prompts": {"path": str(prompts), "sha256": file_sha256(prompts)}}
    assert (summary["number"], summary["dimensions"]) == (2, [])
    assert (summary["devices"], summary["dtypes"]) == (["cpu"], ["torch.float32"])
    assert (summary["settings"]["steps"], summary["settings"]["guidance"], summary["first_seed"]) == (2, 7.0, 1337)
    assert sorted(str(path) for path in Path("out").rglob("*.*")) == [
        "out/00000/metadata.jsonl",
        "out/00000/samples/00000.png",
        "out/00000/samples/00001.png",
        "out/00001/metadata.jsonl",
        "out/00001/samples/00000.png",
        "out/00001/samples/00001.png",
    ]


def test_clips_are_asked_for_with_the_published_motion_and_negative_prompt(run_command, tmp_path):
    prompts = files.vbench(tmp_path)
    options = ("--dimension", "color", "-n", "1", *FAST)
    assert run_command("evaluate", "vbench", "--prompts", prompts, "--out", "out", *options)[0] == 0
    plan = Run.open("out-run").plan()
    assert plan is not None
    (segment,) = plan.segments
    assert segment.prompt == "motion=9.0, a red bicycle"
    assert segment.negative_prompt == (
        "worst quality, low quality, inconsistent motion, static, still, blurry, jittery, distorted, ugly"
    )
    assert (segment.guidance, segment.num_frames) == (7.0, plan.num_frames)
    assert [path.name for path in Path("out").iterdir()] == ["a red bicycle-0.mp4"]


def test_a_suite_goes_on_where_it_was_stopped_and_may_grow(run_command, tmp_path):
    command = ("evaluate", "geneval", "--prompts", files.geneval(tmp_path), "--out", "out", *FAST, "--json")
    for number, generated, reused in (("1", 2, 0), ("1", 0, 2), ("3", 4, 2)):
        summary = json.loads(run_command(*command, "-n", number)[1].splitlines()[-1])
        assert (summary["generated_segments"], summary["reused_segments"]) == (generated, reused)
    assert len(list(Path("out").rglob("*.png"))) == 6


def test_the_hash_of_a_folder_of_prompts_tells_when_one_has_changed(run_command, tmp_path):
    prompts, hashes = files.dpg(tmp_path), []
    for text in ("a figure at the corner", "a figure at the corner", "another figure"):
        (prompts / "vrd6.txt").write_text(text)
        run_command("evaluate", "dpg", "--prompts", prompts, "--out", "out", *FAST)
        summary = json.loads(Path("out-run/evaluation.json").read_text())
        hashes.append(summary["files"]["prompts"]["sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_prompt_that_is_longer_than_the_model_reads_is_cut_as_published_and_told(run_command, tmp_path):
    prompts = files.dpg(tmp_path)
    begins = " ".join(["bear"] * 200)
    (prompts / "7.txt").write_text(f"{begins} on a meadow")
    (prompts / "vrd6.txt").write_text(f"{begins} in a river")
    code, _, said = run_command("evaluate", "dpg", "--prompts", prompts, "--out", "out", *FAST)
    assert code == 0
    assert "warning: 2 prompts have more than 32 tokens; the model reads their beginning." in said
    assert json.loads(Path("out-run/evaluation.json").read_text())["num_cut_prompts"] == 2
    assert {segment.prompt for segment in Run.open("out-run").plan().segments} == {
        f"{begins} on a meadow",
        f"{begins} in a river",
    }


def test_a_prompt_that_cannot_be_used_is_told_with_where_it_is_from(run_command, tmp_path):
    prompts = files.dpg(tmp_path)
    (prompts / "vrd6.txt").write_text("a\0b")
    code, _, said = run_command("evaluate", "dpg", "--prompts", prompts, "--out", "out", *FAST)
    assert code == 2
    assert f"{prompts / 'vrd6.txt'}: prompt is" in said


def test_the_work_is_never_in_the_folder_that_a_scorer_reads(run_command, monkeypatch, tmp_path):
    prompts = files.dpg(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_command("evaluate", "dpg", "--prompts", prompts, "--out", ".", *FAST)[0] == 0
    assert sorted(path.name for path in Path().iterdir()) == ["7.png", "vrd6.png"]
    assert Run.open(tmp_path / "here-run").samples


@pytest.mark.parametrize("places", [("--out", ""), ("--out", "a", "--run", "a"), ("--out", "a", "--run", "a/b")])
def test_places_that_are_none_or_in_each_other_are_refused(run_command, tmp_path, places):
    prompts = files.dpg(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run_command("evaluate", "dpg", "--prompts", prompts, *places, *FAST)[0] == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_job_samples_a_suite(tmp_path):
    prompts = files.dpg(tmp_path)
    arguments = ["dpg", "--prompts", str(prompts), "--out", str(tmp_path / "out"), *FAST]
    subprocess.run([sys.executable, str(JOB), *arguments], check=True, capture_output=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["7.png", "vrd6.png"]


def test_the_released_models_sample_as_the_published_figures_were_made():
    # docs/evaluation.md of the published repository, 2025-11-18
    image, video = RELEASED[IMAGES.model].defaults, RELEASED[VIDEOS.model].defaults
    assert (image["width"], image["height"], image["steps"], IMAGES.num_samples) == (1024, 1024, 25, 4)
    assert (video["width"], video["height"], video["steps"], VIDEOS.num_samples) == (512, 320, 50, 5)
    assert (IMAGES.guidance, VIDEOS.guidance, VIDEOS.motion) == (7.0, 7.0, 9.0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("dpg", "-n", "3"), "--number is nothing of dpg; it is an option of geneval, vbench, vbench-i2v"),
        (("geneval", "--dimension", "color"), "--dimension is nothing of geneval"),
        (("geneval", "--motion", "5"), "--motion is nothing of geneval"),
        (("vbench-i2v",), "--images is missing"),
    ],
)
def test_options_that_a_suite_has_not_are_refused(run_command, tmp_path, arguments, says):
    prompts = files.geneval(tmp_path)
    code, _, said = run_command("evaluate", *arguments, "--prompts", prompts, "--out", "out", *FAST)
    assert code == 2
    assert says in said
    assert not Path("out").exists()
    assert not Path("out-run").exists()
