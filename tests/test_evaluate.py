"""`ursa-ray evaluate` as users meet it: what the scorer is given, what is told of it, what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.suites import files
from ursa_ray.checkpoint.released import RELEASED
from ursa_ray.files import file_sha256
from ursa_ray.ledger import Run
from ursa_ray.ledger.folder import FolderStore
from ursa_ray.sampling.delivery import Delivery
from ursa_ray.suites.images import IMAGES
from ursa_ray.suites.videos import VIDEOS

FAST = ("--model", "tiny", "--steps", "2", "--device", "cpu")
SQUARE = (*FAST, "--size", "48x48")
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


def test_a_folder_of_prompts_is_known_by_what_is_in_it(run_command, tmp_path):
    prompts = files.dpg(tmp_path)
    command = ("evaluate", "dpg", "--prompts", prompts, "--out", "out", *SQUARE)
    assert run_command(*command)[0] == 0
    before = recorded()["files"]["prompts"]["sha256"]
    assert run_command(*command)[0] == 0
    assert recorded()["files"]["prompts"]["sha256"] == before
    (prompts / "vrd6.txt").write_text("another figure")
    code, _, said = run_command(*command)
    assert code == 2
    assert f"--prompts was '{before[:16]}', is " in said
    assert run_command(*command, "--overwrite")[0] == 0
    assert recorded()["files"]["prompts"]["sha256"] != before


def recorded(run="out-run"):
    return json.loads(Path(run, "evaluation.json").read_text())


def hashes_of(folder):
    return {str(path.relative_to(folder)): file_sha256(path) for path in sorted(Path(folder).rglob("*.png"))}


@pytest.fixture
def interrupt_at(monkeypatch):
    """Let a command be interrupted as soon as it has made so many segments."""

    def interrupt_at(number):
        finished = iter(range(number - 1))

        def finish(listener, *what):
            if next(finished, None) is None:
                raise KeyboardInterrupt

        monkeypatch.setattr(Delivery, "finish", finish, raising=True)

    return interrupt_at


def test_an_interrupted_evaluation_says_with_what_it_was_begun(run_command, interrupt_at, tmp_path):
    command = ("evaluate", "geneval", "--prompts", files.geneval(tmp_path), "--out", "out", *FAST)
    interrupt_at(3)
    assert run_command(*command)[0] == 130
    begun = recorded()
    assert (begun["is_finished"], begun["settings"]["steps"], begun["num_files"]) == (False, 2, 8)
    interrupt_at(99)
    assert run_command(*command)[0] == 0
    done = recorded()
    assert done["is_finished"]
    assert begun.items() <= (done | {"is_finished": False}).items()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--steps", "3"), "(steps was 2, is 3)"),
        (("--seed", "7"), "(--seed was 1337, is 7)"),
        (("--guidance", "2"), "(guidance was 7.0, is 2.0)"),
        (("--negative-prompt", "fog"), "(negative_prompt was '', is 'fog')"),
        (("--size", "48x48"), "(size was [64, 48], is [48, 48])"),
        (("--run", "other", "--steps", "3"), "(no evaluation.json in --run says what they are)"),
    ],
)
def test_results_of_other_settings_or_of_another_run_are_not_mixed_in(run_command, tmp_path, options, says):
    command = ("evaluate", "geneval", "--prompts", files.geneval(tmp_path), "--out", "out", "-n", "1", *FAST)
    assert run_command(*command)[0] == 0
    before, record = hashes_of("out"), recorded()
    code, _, said = run_command(*command, *options)
    assert code == 2
    assert f"out: holds 2 results that are not of what is asked for now {says}, and they would be mixed. Give" in said
    assert hashes_of("out") == before
    assert recorded() == record
    assert not Path("other").exists()
    assert run_command(*command, *options, "--overwrite")[0] == 0
    assert not before.items() & hashes_of("out").items()


def test_results_of_rewritten_prompts_are_not_replaced_by_those_of_the_short_ones(run_command, tmp_path):
    command = ("evaluate", "geneval", "--prompts", files.geneval(tmp_path), "--out", "out", "-n", "1", *FAST)
    rewritten = files.geneval_rewritten(tmp_path)
    assert run_command(*command, "--rewritten", rewritten)[0] == 0
    before, record = hashes_of("out"), recorded()
    code, _, said = run_command(*command)
    assert code == 2
    assert f"(--rewritten was '{file_sha256(rewritten)[:16]}', is None)" in said
    assert (hashes_of("out"), recorded()) == (before, record)
    assert run_command(*command, "--overwrite")[0] == 0
    assert not before.items() & hashes_of("out").items()


@pytest.mark.parametrize(
    "change",
    [
        lambda record: {},
        lambda record: [],
        lambda record: None,
        lambda record: record | {"settings": "many"},
        lambda record: record | {"weights_sha256": None},
        lambda record: record | {"files": {"prompts": "a file"}},
        lambda record: {name: value for name, value in record.items() if name != "out"},
    ],
)
def test_results_of_which_no_record_says_what_they_are_are_not_mixed_in(run_command, tmp_path, change):
    command = ("evaluate", "geneval", "--prompts", files.geneval(tmp_path), "--out", "out", "-n", "1", *FAST)
    assert run_command(*command)[0] == 0
    before = hashes_of("out")
    Path("out-run/evaluation.json").write_text(json.dumps(change(recorded())))
    code, _, said = run_command(*command)
    assert code == 2
    assert "(no evaluation.json in --run says what they are)" in said
    assert hashes_of("out") == before
    assert run_command(*command, "--overwrite")[0] == 0


def test_results_are_looked_for_before_the_work_and_under_its_lock_alone(run_command, monkeypatch, tmp_path):
    command = ("evaluate", "geneval", "--prompts", files.geneval(tmp_path), "--out", "out", "-n", "1", *FAST)
    assert run_command(*command)[0] == 0
    listed, names = [], FolderStore.names

    def counted(store, folder):
        listed.append((Path(store.url).name, folder))
        return names(store, folder)

    monkeypatch.setattr(FolderStore, "names", counted)
    assert run_command(*command, "--steps", "3", "--overwrite")[0] == 0
    assert listed.count(("out", "00001/samples")) == 2


def test_a_grid_says_that_it_says_nothing(run_command, tmp_path):
    assert run_command("evaluate", "dpg", "--prompts", files.dpg(tmp_path), "--out", "out", *SQUARE)[0] == 0
    code, _, said = run_command("explain", "out/7.png")
    assert code == 2
    assert "Only single images of ursa-ray and its films in MP4, MOV and MKV do, not the grids of `evaluate`" in said
    (sample, *_) = sorted(Path("out-run/samples/7").iterdir())
    assert "five pairs of shoes" in run_command("explain", sample)[1]


def test_old_results_are_gone_before_the_first_new_one_is_there(run_command, interrupt_at, tmp_path):
    command = ("evaluate", "geneval", "--prompts", files.geneval(tmp_path), "--out", "out", *FAST)
    assert run_command(*command)[0] == 0
    interrupt_at(3)
    assert run_command(*command, "--steps", "3", "--overwrite")[0] == 130
    left = hashes_of("out")
    assert len(left) <= 3
    assert (recorded()["is_finished"], recorded()["settings"]["steps"]) == (False, 3)
    interrupt_at(99)
    assert run_command(*command, "--steps", "3")[0] == 0
    assert left.items() <= hashes_of("out").items()
    assert len(hashes_of("out")) == 8


def test_results_stay_though_folders_are_moved_together(run_command, monkeypatch, tmp_path):
    prompts = files.geneval(tmp_path)
    command = ("evaluate", "geneval", "--prompts", prompts, "--out", "out", "-n", "1", *FAST, "--json")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_command(*command)[0] == 0
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    code, out, _ = run_command(*command)
    assert code == 0
    assert json.loads(out.splitlines()[-1])["generated_segments"] == 0


def test_the_scorers_own_commands_are_the_last_words(run_command, tmp_path):
    out = run_command("evaluate", "dpg", "--prompts", files.dpg(tmp_path), "--out", "out", *SQUARE)[1]
    assert (  # compute_dpg_bench.py reads one tile of four unless it is told, and has no resolution of its own
        f"accelerate launch dpg_bench/compute_dpg_bench.py --image-root-path {tmp_path / 'out'} --resolution 48 "
        "--pic-num 4 --res-path dpg.txt"
    ) in out.splitlines()[-1]


def test_dpg_takes_squares_alone_since_its_scorer_cuts_squares(run_command, tmp_path):
    command = ("evaluate", "dpg", "--prompts", files.dpg(tmp_path), "--out", "out", *FAST)
    for options, size in (((), "64x48"), (("--size", "32x48"), "32x48")):
        code, _, said = run_command(*command, *options)
        assert code == 2
        assert f"--size is {size}: dpg's scorer cuts squares out of each result. Give one that is as high as" in said
        assert not Path("out-run").exists()


def test_clips_have_the_published_quality_unless_it_is_given(run_command, tmp_path):
    Image.new("RGB", (64, 48), "teal").save("a beach.jpg")
    of_text = ("vbench", "--prompts", files.vbench(tmp_path), "--dimension", "color")
    of_images = ("vbench-i2v", "--prompts", files.vbench_i2v(tmp_path), "--images", ".", "--dimension", "camera_motion")
    # URSA's evaluations/vbench/sample.py writes with imageio's default, quality 5; VBench-I2V's guide with crf 10.
    for suite, options, crf in ((of_text, (), 25), (of_images, (), 10), (of_images, ("--crf", "3"), 3)):
        out = f"{suite[0]}-{crf}"
        assert run_command("evaluate", *suite, *options, "--out", out, "-n", "1", *FAST)[0] == 0
        assert Run.open(f"{out}-run").plan().crf == crf


def test_what_is_not_to_be_made_may_be_given(run_command, tmp_path):
    command = ("evaluate", "vbench", "--prompts", files.vbench(tmp_path), "--dimension", "color", "-n", "1", *FAST)
    for words in ("fog", ""):
        assert run_command(*command, "--out", f"out{words}", "--negative-prompt", words)[0] == 0
        (segment,) = Run.open(f"out{words}-run").plan().segments
        assert segment.negative_prompt == words


@pytest.mark.parametrize("places", [("--out", "a-run/x"), ("--out", "b", "--run", "a-run/x"), ("--out", "a-run")])
def test_nothing_is_put_into_the_run_of_another(run_command, tmp_path, places):
    prompts = files.geneval(tmp_path)
    assert run_command("evaluate", "geneval", "--prompts", prompts, "--out", "a", "-n", "1", *FAST)[0] == 0
    before = sorted(tmp_path.rglob("*"))
    code, _, said = run_command("evaluate", "geneval", "--prompts", prompts, *places, *FAST)
    assert code == 2
    assert f"{places[-2]}: {tmp_path / 'a-run'} is a run, whose work lies there. Give a place outside of it." in said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_prompt_that_is_longer_than_the_model_reads_is_cut_as_published_and_told(run_command, tmp_path):
    prompts = files.dpg(tmp_path)
    begins = " ".join(["bear"] * 200)
    (prompts / "7.txt").write_text(f"{begins} on a meadow")
    (prompts / "vrd6.txt").write_text(f"{begins} in a river")
    code, _, said = run_command("evaluate", "dpg", "--prompts", prompts, "--out", "out", *SQUARE)
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
    code, _, said = run_command("evaluate", "dpg", "--prompts", prompts, "--out", "out", *SQUARE)
    assert code == 2
    assert f"{prompts / 'vrd6.txt'}: prompt is" in said


def test_the_work_is_never_in_the_folder_that_a_scorer_reads(run_command, monkeypatch, tmp_path):
    prompts = files.dpg(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_command("evaluate", "dpg", "--prompts", prompts, "--out", ".", *SQUARE)[0] == 0
    assert sorted(path.name for path in Path().iterdir()) == ["7.png", "vrd6.png"]
    assert Run.open(tmp_path / "here-run").samples


@pytest.mark.parametrize("places", [("--out", ""), ("--out", "a", "--run", "a"), ("--out", "a", "--run", "a/b")])
def test_places_that_are_none_or_in_each_other_are_refused(run_command, tmp_path, places):
    prompts = files.dpg(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run_command("evaluate", "dpg", "--prompts", prompts, *places, *SQUARE)[0] == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_job_samples_a_suite(tmp_path):
    prompts = files.dpg(tmp_path)
    arguments = ["dpg", "--prompts", str(prompts), "--out", str(tmp_path / "out"), *SQUARE]
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
        (("geneval", "--crf", "5"), "--crf is nothing of geneval"),
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
