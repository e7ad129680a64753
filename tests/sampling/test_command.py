"""`ursa-ray image` and `video` as users meet them: what they print, what lies there, what they refuse."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.processes import Process
from ursa_ray.files import file_sha256
from ursa_ray.ledger import Run
from ursa_ray.media import probe, write_film
from ursa_ray.media.frames import decode_frames

MEADOW = "a red circle over a green meadow"
SEA = "a purple square over a blue sea"
SUITE = ("evaluate", "vbench", "--model", "tiny", "--prompts", "prompts.txt", "--out", "out")
FAST = ("--steps", "2", "--device", "cpu")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def prompts(tmp_path):
    """A file of three prompts."""
    file = tmp_path / "prompts.txt"
    file.write_text(f"# weather\n{MEADOW}\n\n  {SEA}\nein Bär im Nebel 🐻\n", encoding="utf-8")
    return file


@pytest.fixture
def start(tmp_path):
    """Start a command in a process of its own, which ends with the test."""
    processes = []

    def start(*arguments):
        processes.append(Process(tmp_path, *arguments))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def result(output):
    return json.loads(output.splitlines()[-1])


def test_four_images_of_a_prompt_are_four_files_whose_paths_are_printed(run_command):
    code, out, _ = run_command("image", MEADOW, "-n", "4", *FAST)
    files = out.splitlines()
    assert code == 0
    assert len(files) == len({file_sha256(Path(file)) for file in files}) == 4
    for seed, file in enumerate(files):
        assert re.search(f"/samples/a-red-circle-over-a-green-meadow-[0-9a-f]{{10}}-{seed}-[0-9a-f]{{10}}.png$", file)
        with Image.open(file, formats=["PNG"]) as image:
            image.load()
            assert (image.size, image.mode) == ((64, 48), "RGB")


def test_more_of_the_same_prompt_are_added_and_the_first_ones_are_kept(run_command):
    first = result(run_command("image", MEADOW, *FAST, "--json")[1])
    more = result(run_command("image", MEADOW, "-n", "2", *FAST, "--json")[1])
    assert more["run"] == first["run"]
    assert (more["generated_segments"], more["reused_segments"]) == (1, 1)
    assert more["samples"][0] == first["samples"][0]
    assert [(sample["prompt"], sample["seed"]) for sample in more["samples"]] == [(MEADOW, 0), (MEADOW, 1)]


def test_results_lie_where_out_says_and_the_work_where_run_says(run_command, tmp_path):
    code, out, _ = run_command("image", MEADOW, *FAST, "--out", tmp_path / "mine", "--run", tmp_path / "work")
    assert code == 0
    assert Path(out.strip()).parent == tmp_path / "mine"
    assert Run.open(tmp_path / "work").segments
    assert not (tmp_path / "work" / "samples").exists()
    assert not (tmp_path / "renders").exists()


@pytest.mark.parametrize("options", [(), ("--out", "mine")])
def test_no_run_is_made_within_another(run_command, tmp_path, options):
    assert run_command("image", MEADOW, *FAST, "--run", "work")[0] == 0
    before = sorted(tmp_path.rglob("*"))
    code, _, err = run_command("image", SEA, *FAST, "--run", "work/below/more", *options)
    assert code == 2
    assert f"--run: {tmp_path / 'work'} is a run, whose work lies there. Give a place outside of it." in err
    assert sorted(tmp_path.rglob("*")) == before


def test_explain_names_results_as_their_files_begin(run_command):
    done = result(run_command("image", MEADOW, "-n", "2", *FAST, "--json")[1])
    lines = run_command("explain", done["run"])[1].splitlines()
    for sample in done["samples"]:
        name = Path(sample["file"]).name.rpartition("-")[0]
        assert any(line.startswith(f"{name}: ") for line in lines)


def test_results_of_other_settings_take_no_others_place(run_command):
    for steps in ("2", "4"):
        assert run_command("image", MEADOW, "--steps", steps, "--device", "cpu", "--out", "mine")[0] == 0
    assert len(list(Path("mine").iterdir())) == 2


def test_the_run_of_a_film_is_refused_and_stays_as_it_is(run_command, tmp_path):
    Path("film.yaml").write_text("version: 1\nmodel: tiny\nshots: [{id: a, prompt: x, frames: 5, steps: 1}]\n")
    assert run_command("render", "film.yaml", "--run", "film", "--device", "cpu")[0] == 0
    before = Run.open("film").plan_sha256
    for command in (("image", MEADOW), ("video", MEADOW)):
        code, _, err = run_command(*command, *FAST, "--run", "film", "--out", "mine")
        assert code == 2
        assert "film: is the run of a film" in err
    assert Run.open("film").plan_sha256 == before
    assert not Path("mine").exists()


def test_status_counts_results(run_command):
    run = result(run_command("image", MEADOW, "-n", "2", *FAST, "--json")[1])["run"]
    code, out, _ = run_command("status", run, "--json")
    assert code == 0
    assert "samples: 2 of 2 written" in out
    assert result(out)["num_samples"] == 2


def test_every_prompt_of_a_file_has_its_results_in_order(run_command, prompts):
    code, out, _ = run_command("image", "--prompts", prompts, "-n", "2", *FAST, "--json")
    made = result(out)
    assert code == 0
    expected = [(MEADOW, 0), (MEADOW, 1), (SEA, 0), (SEA, 1), ("ein Bär im Nebel 🐻", 0), ("ein Bär im Nebel 🐻", 1)]
    assert [(sample["prompt"], sample["seed"]) for sample in made["samples"]] == expected
    assert made["run"].startswith("renders/prompts-")
    assert all(sample["file"] and file_sha256(Path(sample["file"])) == sample["sha256"] for sample in made["samples"])


def test_a_prompt_that_is_added_to_a_file_costs_only_itself(run_command, prompts):
    run_command("image", "--prompts", prompts, *FAST)
    prompts.write_text(f"a yellow triangle at night\n{prompts.read_text(encoding='utf-8')}", encoding="utf-8")
    made = result(run_command("image", "--prompts", prompts, *FAST, "--json")[1])
    assert (made["generated_segments"], made["reused_segments"]) == (1, 3)


def test_a_video_begins_with_its_picture(run_command):
    picture = run_command("image", MEADOW, "--device", "cpu")[1].strip()
    other = run_command("image", SEA, "--device", "cpu")[1].strip()
    code, out, _ = run_command("video", MEADOW, "--image", picture, *FAST, "--crf", "0")
    frames = list(decode_frames(Path(out.strip())))
    assert code == 0
    assert len(frames) == 17
    to_picture, to_other = (np.abs(frames[0] - np.asarray(Image.open(file), int)).mean() for file in (picture, other))
    assert to_picture < to_other / 4


def test_a_clip_that_is_extended_gives_what_follows_it_alone(run_command, tmp_path):
    moving = [
        np.roll(np.full((48, 64, 3), 90, np.uint8) + np.arange(64, dtype=np.uint8)[:, None], i, 1) for i in range(9)
    ]
    write_film(tmp_path / "clip.mp4", moving, 9, (64, 48), fps=12)
    code, out, _ = run_command("video", "a wave", "--video", "clip.mp4", "--extend", "2", *FAST)
    assert code == 0
    # Twice the 17 frames of a segment without the 5 that are given.
    assert probe(Path(out.strip())).num_frames == 2 * 12


def test_a_video_is_as_long_as_it_is_told(run_command):
    code, out, _ = run_command("video", MEADOW, "--duration", "2s", "--motion", "3", *FAST, "--size", "48x32")
    found = probe(Path(out.strip()))
    assert code == 0
    assert (found.num_frames, found.width, found.height) == (24, 48, 32)


def test_a_command_that_is_killed_goes_on_where_it_was_and_makes_nothing_twice(start, run_command, tmp_path):
    command = ("image", MEADOW, "-n", "6", "--steps", "8", "--device", "cpu", "--run", tmp_path / "run")
    process = start(*command)
    process.wait_until_said("-1[0] committed")
    process.kill()
    process.wait()
    num_done = len(Run.open(tmp_path / "run").segments)
    assert 2 <= num_done < 6
    code, out, _ = run_command(*command, "--json")
    made = result(out)
    assert code == 0
    assert (made["generated_segments"], made["reused_segments"]) == (6 - num_done, num_done)
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 6
    assert len(Run.open(tmp_path / "run").segments) == 6


@pytest.mark.parametrize("places", [("--run", "work"), ("--run", "/shared/work", "--out", "mine"), ()])
def test_a_job_refuses_places_that_are_gone_with_it(run_command, monkeypatch, tmp_path, places):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    code, _, err = run_command("image", MEADOW, *FAST, *places)
    assert code == 2
    assert f"{places[-2] if places else '--run'} is '" in err
    assert "a job's own folder is gone with it" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("image", MEADOW), ("video", MEADOW), SUITE])
def test_an_interrupted_command_says_how_to_go_on(run_command, monkeypatch, prompts, command):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("ursa_ray.render.Director", interrupt)
    code, out, err = run_command(*command, *FAST)
    assert (code, out) == (130, "")
    assert err.splitlines()[-1].endswith("interrupted; what is committed is safe, give the same command to go on")


@pytest.mark.ray
@pytest.mark.slow
def test_prompts_of_a_file_are_made_by_two_replicas_side_by_side_to_the_same_bytes(start, run_command, prompts):
    alone = result(run_command("image", "--prompts", prompts, *FAST, "-n", "2", "--run", "alone", "--json")[1])
    process = start(
        "image",
        "--prompts",
        prompts,
        *FAST,
        "-n",
        "2",
        "--run",
        "two",
        "--replicas",
        "2",
        "--log-format",
        "json",
        "--json",
    )
    out, _ = process.communicate(timeout=100)
    log = [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith("{")]
    assert process.returncode == 0, process.log.read_text()
    assert len({said["replica"] for said in log if said["event"] == "finish"}) == 2
    assert [sample["sha256"] for sample in result(out)["samples"]] == [s["sha256"] for s in alone["samples"]]


def test_an_image_model_makes_images_of_its_own_size(run_command, goldens):
    model = goldens / "tiny-ibq"
    code, out, _ = run_command("image", "a bear", "--model", model, "--size", "96x64", *FAST)
    with Image.open(out.strip(), formats=["PNG"]) as image:
        image.load()
        assert (code, image.size) == (0, (96, 64))


# What is wrong, the command, words of the message.
BAD = {
    "no prompt": (["image"], "there is no prompt"),
    "prompts twice": (
        ["image", "x", "--prompts", "prompts.txt"],
        "prompts are given, and a file of them. Give either prompts, such as",
    ),
    "an empty prompt": (["image", ""], 'prompt 1: prompt is "", expected a text'),
    "a blank prompt, the second": (["image", "x", "  "], 'prompt 2: prompt is "  "'),
    "an escape": (["image", "\x1b[31mred"], "expected text without control characters"),
    "10,001 characters": (["image", "x" * 10_001], "at most 10,000 characters"),
    "bytes that are no text": (["image", "\udcff\udcfe"], 'prompt is "\\udcff\\udcfe", expected a text'),
    "more than the model reads": (["image", "bear " * 200], "tokens as the model reads it, expected at most 32"),
    "more not to make than the model reads": (
        ["image", "x", "--negative-prompt", "bear " * 200],
        "--negative-prompt: defaults: negative_prompt has",
    ),
    "a size between those of the model": (
        ["image", "x", "--size", "60x48"],
        "--size: width is 60, expected a multiple of 8",
    ),
    "no size": (["image", "x", "--size", "large"], "--size is 'large'"),
    "a size of its own model": (
        ["image", "x", "--model", "MODEL", "--size", "8x8"],
        "--size: width is 8, expected",
    ),
    "an image model without a size": (["image", "x", "--model", "MODEL"], "--size: width and height are missing"),
    "a video of an image model": (["video", "x", "--model", "MODEL"], "makes images only"),
    "a video of a released image model": (
        ["video", "x", "--model", "BAAI/URSA-1.7B-IBQ1024"],
        "--model: BAAI/URSA-1.7B-IBQ1024 makes images only, expected a video model",
    ),
    "no model": (["image", "x", "--model", "./nowhere"], "--model: model './nowhere': there is no folder nowhere"),
    "a duration without a unit": (
        ["video", "x", "--duration", "4"],
        '--duration: duration is "4", expected a positive duration such as 4s',
    ),
    "two lengths": (["video", "x", "--duration", "4s", "--extend", "1"], "Give one of them"),
    "an endless video": (["video", "x", "--extend", "9999999999"], "--extend: frames is"),
    "two starts": (
        ["video", "x", "--image", "still.png", "--video", "still.png"],
        "--image and --video both say what a video starts from. Give one of them.",
    ),
    "no picture": (
        ["video", "x", "--image", "none.png"],
        "--image: none.png: cannot be opened (No such file or directory). Expected an image",
    ),
    "a picture that is none": (["video", "x", "--image", "prompts.txt"], "is not a PNG, JPEG or WEBP image"),
    "a clip that is none": (["video", "x", "--video", "still.png"], "still.png: is no whole MP4"),
    "no file of prompts": (["image", "--prompts", "none.txt"], "none.txt: cannot be read"),
    "a folder of prompts": (["image", "--prompts", "."], ".: is not a regular file"),
    "an empty file of prompts": (["image", "--prompts", "empty.txt"], "empty.txt: holds no prompt"),
    "prompts that are no text": (["image", "--prompts", "latin.txt"], "latin.txt:2: is not UTF-8 text"),
    "a null character": (["image", "--prompts", "null.txt"], "null.txt:2: prompt is"),
    "a long prompt in a file": (["image", "--prompts", "long.txt"], "long.txt:3: prompt has"),
    "too many": (["image", "--prompts", "long.txt", "-n", "1000", "--seed", str(2**63 - 1)], "--seed is"),
    "a folder that cannot be": (["image", "x", "--out", "prompts.txt"], "prompts.txt: cannot be written"),
    "results among the work": (["image", "x", "--out", "work/mine", "--run", "work"], "one is in the other"),
    "work among the results": (["image", "x", "--out", "mine", "--run", "mine/work"], "one is in the other"),
    "work where results are": (["image", "x", "--out", "mine", "--run", "./mine/"], "one is in the other"),
    "nowhere": (["image", "x", "--out", ""], "--out is empty"),
    "no run": (["image", "x", "--run", ""], "--run is empty"),
    "a run that is none": (["image", "x", "--run", "."], ".: is neither a run nor an empty folder"),
    "fewer replicas than at least": (["image", "x", "--replicas", "1", "--min-replicas", "2"], "--min-replicas 2"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_message_and_nothing_is_written(run_command, tmp_path, goldens, what):
    command, words = BAD[what]
    Image.new("RGB", (64, 48)).save("still.png")
    Path("prompts.txt").write_text("x\n")
    Path("empty.txt").write_text("# nothing yet\n\n")
    Path("latin.txt").write_bytes("x\nBär\n".encode("latin-1"))
    Path("null.txt").write_bytes(b"x\nbe\0ar\n")
    Path("long.txt").write_text(f"x\n# long\n{'bear ' * 200}\n")
    before = sorted(tmp_path.rglob("*"))
    model = str(goldens / "tiny-ibq")
    code, out, err = run_command(*(model if word == "MODEL" else word for word in command), "--device", "cpu")
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "prompt", ["../../etc/passwd", "/etc/passwd", "🐻", "CON", "a\nb", "-", "x" * 150, "--help me"]
)
def test_any_prompt_gives_a_harmless_name_below_the_run(run_command, tmp_path, goldens, prompt):
    code, out, _ = run_command(
        "image", "--steps", "1", "--device", "cpu", "--model", goldens / "tiny-ibq", "--size", "32x32", "--", prompt
    )
    assert code == 0
    (file,) = out.splitlines()
    assert (tmp_path / file).resolve().is_relative_to(tmp_path / "renders")
    assert len(Path(file).name) <= 64 + len(".png")
    assert set(Path(file).name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


def test_a_result_that_cannot_be_written_is_named_with_what_to_do(run_command):
    file = Path(run_command("image", MEADOW, *FAST)[1].strip())
    file.unlink()
    file.mkdir()
    code, _, err = run_command("image", MEADOW, *FAST)
    assert code == 1
    assert f"{file}: Is a directory. Mend that, or give another place, then give the same command again." in err


def test_status_names_a_sample_as_its_file_begins(run_command):
    done = result(run_command("image", MEADOW, *FAST, "--json")[1])
    (shot,) = result(run_command("status", done["run"], "--json")[1])["shots"]
    assert Path(done["samples"][0]["file"]).name.startswith(f"{shot['id']}-")


def test_what_is_wrong_with_many_results_alike_is_said_once(run_command):
    _, _, err = run_command("video", MEADOW, "--duration", "4", "-n", "3", *FAST)
    assert len(err.splitlines()) == 1


def test_a_cluster_that_the_environment_chose_is_said_to_be_of_it(run_command, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head")
    code, _, err = run_command("image", MEADOW, *FAST)
    assert code == 2
    assert "RAY_ADDRESS is set: this is made on the Ray cluster at head" in err
