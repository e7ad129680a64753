"""The command line as users meet it: what it prints, what it exits with, what it leaves behind."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image

from tests.storyboards import TWO_SHOTS, write
from ursa_ray import errors
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.cli import EXIT_CODES, INTERRUPTED
from ursa_ray.cli.app import app
from ursa_ray.ledger import Run
from ursa_ray.media import probe

STORYBOARDS = Path(__file__).parent.parent / "storyboards"


def last_line(output):
    return json.loads(output.splitlines()[-1])


def test_a_one_minute_storyboard_plans_to_720_frames(run_command):
    code, out, _ = run_command("plan", STORYBOARDS / "grizzly-minute.yaml", "--json")
    planned = last_line(out)
    assert code == 0
    assert (planned["num_frames"], planned["fps"]) == (720, 12)
    assert sum(shot["num_frames"] for shot in planned["shots"]) == 720
    # 18 s are 49 + 167 frames in 36s: 6 segments; the river's 120 frames follow them in 4.
    assert planned["shots"][0] == {"id": "forest", "num_frames": 216, "num_segments": 6}
    assert planned["critical_path_segments"] == 10
    assert planned["num_segments"] == sum(shot["num_segments"] for shot in planned["shots"])


def test_planning_loads_neither_torch_nor_ray():
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(sorted({'torch', 'ray', 'transformers'} & set(sys.modules))))\n"
        f"sys.argv = ['ursa-ray', 'plan', {str(STORYBOARDS / 'grizzly-minute.yaml')!r}, '--gpus=8', '--deadline=1h']\n"
        "from ursa_ray.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["quickstart", "grizzly-minute", "extend-image", "extend-clip"])
def test_every_shipped_storyboard_plans(run_command, name):
    code, out, _ = run_command("plan", STORYBOARDS / f"{name}.yaml", "--json")
    assert code == 0
    assert last_line(out)["num_segments"] > 1


def test_the_quickstart_has_a_shot_that_goes_on_from_another_and_takes_of_their_own(run_command):
    _, out, _ = run_command("plan", STORYBOARDS / "quickstart.yaml", "--json")
    planned = last_line(out)
    # 36 frames are 17 + 12 + 7, then 24 are 12 + 12; 48 frames are 17 + 12 + 12 + 7.
    assert [shot["num_segments"] for shot in planned["shots"]] == [3, 2, 4, 4]
    assert planned["critical_path_segments"] == 3 + 2
    assert planned["seconds"] >= 12


@pytest.mark.parametrize(("name", "num_frames"), [("quickstart", 156), ("extend-image", 36), ("extend-clip", 42)])
def test_every_storyboard_with_the_built_in_model_renders_to_its_frames(run_command, tmp_path, name, num_frames):
    code, out, _ = run_command("render", STORYBOARDS / f"{name}.yaml", "--run", tmp_path / "run", "--json")
    rendered = last_line(out)
    assert code == 0
    assert rendered["num_frames"] == num_frames
    assert probe(Path(rendered["film"])).num_frames == num_frames
    assert Path(rendered["film"]).parent == tmp_path / "run"


def test_a_second_render_generates_nothing(run_command, tmp_path):
    board = write(tmp_path, TWO_SHOTS)
    first = last_line(run_command("render", board, "--run", tmp_path / "run", "--json")[1])
    again = last_line(run_command("render", board, "--run", tmp_path / "run", "--json")[1])
    assert (first["generated_segments"], first["reused_segments"]) == (4, 0)
    assert (again["generated_segments"], again["reused_segments"]) == (0, 4)
    assert again["sha256"] == first["sha256"]


def test_the_run_is_named_after_the_storyboard_unless_told(run_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_command("render", write(tmp_path, TWO_SHOTS, "my-film.yaml"), "--json")
    assert code == 0
    assert last_line(out)["film"] == "renders/my-film/film.mp4"


@pytest.mark.parametrize(
    "name",
    [
        "...yaml",
        "..yaml",
        ".yaml",
        "My-Film.yaml",
        "my film.yaml",
        "-rf.yaml",
        "a" * 65 + ".yaml",
        "b\u00e4r.yaml",
        "a\n.yaml",
    ],
)
def test_a_storyboard_whose_name_is_no_name_for_a_run_asks_for_one(run_command, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    board = write(tmp_path, TWO_SHOTS, name)
    code, out, err = run_command("render", board)
    assert (code, out) == (2, "")
    assert f"{board}: {board.stem!r} cannot name a run, expected 1 to 64 of a-z, 0-9, - and _, the first" in err
    assert "--run" in err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_run_that_is_told_may_be_any_folder_of_the_users(run_command, tmp_path):
    board = write(tmp_path, TWO_SHOTS, "My Film.yaml")
    code, out, _ = run_command("render", board, "--run", tmp_path / "Films" / "My Film!", "--json")
    assert code == 0
    assert last_line(out)["film"] == str(tmp_path / "Films" / "My Film!" / "film.mp4")


def test_a_log_has_plain_lines_with_time_left(run_command, tmp_path):
    _, _, err = run_command("render", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run")
    times, lines = zip(*(line.split(" ", 1) for line in err.splitlines()), strict=True)
    assert all(time.strptime(said, "%H:%M:%S") for said in times)
    assert lines[0] == "4 segments, 38 frames"
    assert "dawn[0] begins" in lines
    assert any(line.startswith("dusk[0] committed after") and line.endswith("left") for line in lines)
    assert "\x1b" not in err


def test_status_counts_what_is_committed(run_command, tmp_path):
    run_command("render", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run")
    code, out, _ = run_command("status", tmp_path / "run", "--json")
    found = last_line(out)
    assert code == 0
    assert (found["num_committed"], found["num_segments"]) == (4, 4)
    assert found["film"] == str(tmp_path / "run" / "film.mp4")


def test_status_of_a_run_without_a_plan_says_so_and_has_the_keys_of_any_other(run_command, goldens, tmp_path):
    Run.create(tmp_path / "new")
    code, out, _ = run_command("status", tmp_path / "new", "--json")
    assert (code, out.splitlines()[0]) == (0, "nothing is planned here yet")
    _, of_another, _ = run_command("status", goldens / "runs" / "0.1.0", "--json")
    assert last_line(out).keys() == last_line(of_another).keys()
    assert (last_line(out)["num_segments"], last_line(out)["film"]) == (0, None)


def test_status_of_something_that_is_no_run_is_refused(run_command, tmp_path):
    code, _, err = run_command("status", tmp_path)
    assert code == 2
    assert "is not a run" in err


def test_doctor_finds_what_rendering_needs(run_command):
    _, out, _ = run_command("doctor", "--json")
    found = last_line(out)
    assert found["ffmpeg"]["ok"]
    assert "cpu: onednn attention, torch draws" in found["backends"]["found"]
    assert found["built-in model"]["ok"]


@pytest.mark.parametrize("options", [["--attention", "cudnn"], ["--attention", "onednn", "--dtype", "float16"]])
def test_an_attention_kernel_that_cannot_compute_here_is_refused_before_anything_is_written(
    run_command, tmp_path, options
):
    run = tmp_path / "run"
    code, _, err = run_command("render", write(tmp_path, TWO_SHOTS), "--run", run, "--device", "cpu", *options)
    assert (code, run.exists()) == (2, False)
    assert f"attention is '{options[1]}'" in err


def test_draws_that_cannot_be_made_here_are_refused_before_anything_is_written(run_command, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *given: None if name == "triton" else find(name, *given)
    )
    run = tmp_path / "run"
    options = ["--device", "cpu", "--draws", "triton"]
    code, _, err = run_command("render", write(tmp_path, TWO_SHOTS), "--run", run, *options)
    assert (code, run.exists()) == (2, False)
    assert "draws is 'triton', which does not work here" in err


def test_a_render_computes_in_the_dtype_and_with_the_attention_that_are_asked_for(run_command, tmp_path, caplog):
    caplog.set_level("INFO", "ursa_ray.model.backends")
    options = ["--device", "cpu", "--dtype", "bfloat16", "--attention", "math"]
    code, _, _ = run_command("render", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run", *options)
    assert code == 0
    assert {commit.dtype for commit in Run.open(tmp_path / "run").segments.values()} == {"torch.bfloat16"}
    assert "cpu in torch.bfloat16 computes with math attention" in caplog.text


def compiling(folder, **environment):
    """A render in a process of its own: torch.compile cannot follow the checks of shapes in this one."""
    command = [sys.executable, "-m", "ursa_ray", "render", str(write(folder, TWO_SHOTS)), "--run", str(folder / "run")]
    options = ["--device", "cpu", "--compile"]
    return subprocess.run(command + options, capture_output=True, text=True, env=os.environ | environment)


def test_without_a_compiler_nothing_is_compiled_and_nothing_written(tmp_path):
    refused = compiling(tmp_path, CXX="/nowhere/g++")
    assert (refused.returncode, (tmp_path / "run").exists()) == (2, False)
    assert "compile needs a C++ compiler" in refused.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_render_makes_the_film_and_compiles_before_its_segments_clock_starts(tmp_path):
    start_s = time.monotonic()
    assert compiling(tmp_path, TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "cache")).returncode == 0
    elapsed_s = time.monotonic() - start_s
    run = Run.open(tmp_path / "run")
    assert probe(tmp_path / "run" / "film.mp4").num_frames == 38
    # Compiling takes 5 to 30 s, a segment 0.3.
    assert max(commit.seconds for commit in run.segments.values()) < elapsed_s / 5


def test_a_render_into_a_folder_that_holds_something_else_is_refused(run_command, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.txt").write_text("meow")
    code, _, err = run_command("render", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "photos")
    assert code == 2
    assert "neither a run nor an empty folder" in err
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.txt"]


SHOT = "  - {id: one, prompt: a bear, duration: 2s}\n"
HEAD = "version: 1\nmodel: tiny\n"

# What is wrong, the storyboard, its wrong line, words of the message.
BAD = {
    "an unknown key": (HEAD + "colour: red\nshots:\n" + SHOT, 3, ["unknown key", "colour"]),
    "a misspelt key": (HEAD + "shots:\n  - {id: one, promt: a bear, duration: 2s}\n", 4, ["promt", "prompt"]),
    "a misspelt shot to continue": (
        HEAD + "shots:\n" + SHOT + "  - {id: two, continue: won, prompt: it rests, duration: 1s}\n",
        5,
        ["won", "not an earlier shot", "one"],
    ),
    "a cycle": (
        HEAD + "shots:\n  - {id: a, continue: b, prompt: x, duration: 1s}\n"
        "  - {id: b, continue: a, prompt: x, duration: 1s}\n",
        4,
        ["continues", "not an earlier shot"],
    ),
    "a negative duration": (HEAD + "shots:\n  - {id: one, prompt: x, duration: -4s}\n", 4, ["-4s", "positive"]),
    "a duration without a unit": (HEAD + "shots:\n  - {id: one, prompt: x, duration: 4}\n", 4, ["4s"]),
    "a size not divisible by the stride": (
        HEAD + "video: {width: 100, height: 64}\nshots:\n" + SHOT,
        3,
        ["width is 100", "multiple of 8", "96 or 104"],
    ),
    "an overlap not less than the frames": (
        HEAD + "segment: {frames: 9, overlap: 9}\nshots:\n" + SHOT,
        3,
        ["overlap", "9", "less than"],
    ),
    "a missing image": (
        HEAD + "shots:\n  - {id: one, image: no.png, prompt: x, duration: 2s}\n",
        4,
        ["no.png", "no file"],
    ),
    "something that is no image": (
        HEAD + "shots:\n  - {id: one, image: film.yaml, prompt: x, duration: 2s}\n",
        4,
        ["film.yaml", "PNG"],
    ),
    "an oversized image": (
        HEAD + "shots:\n  - {id: one, image: big.png, prompt: x, duration: 2s}\n",
        4,
        ["big.png", "40000000 pixels"],
    ),
    "a prompt over the limit": (
        HEAD + f"shots:\n  - {{id: one, prompt: {'bear ' * 200}, duration: 2s}}\n",
        4,
        ["tokens", "at most 32", "Shorten"],
    ),
    "a model that is nowhere": (
        "version: 1\nmodel: ./weights\nshots:\n" + SHOT,
        2,
        ["weights", "no folder"],
    ),
    "a model folder that is unreadable": (
        "version: 1\nmodel: broken\nshots:\n" + SHOT,
        2,
        ["model_index.json", "JSON", "Fetch"],
    ),
}


@pytest.mark.parametrize("command", ["plan", "render"])
@pytest.mark.parametrize("what", BAD)
def test_bad_input_gives_one_message_and_writes_nothing(run_command, tmp_path, command, what):
    text, line, words = BAD[what]
    Image.new("1", (9000, 9000)).save(tmp_path / "big.png")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model_index.json").write_text("{")
    board = write(tmp_path, text)
    before = sorted(tmp_path.rglob("*"))
    options = ["--run", tmp_path / "run"] if command == "render" else []
    code, out, err = run_command(command, board, *options)
    assert code == 2
    assert out == ""
    assert f"{board}:{line}:" in err
    assert [word for word in words if word not in err] == []
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(run_command, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    board = write(tmp_path, TWO_SHOTS)
    code, _, err = run_command("render", board, "--run", tmp_path / "run", "--device", "cuda")
    assert code == 2
    assert "finds no GPU here" in err
    assert not (tmp_path / "run").exists()


def test_damaged_weights_are_found_before_anything_is_written(run_command, tmp_path):
    shutil.copytree(TINY, tmp_path / "model")
    weights = tmp_path / "model" / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    board = write(tmp_path, TWO_SHOTS.replace("tiny", "model"))
    code, _, err = run_command("render", board, "--run", tmp_path / "run")
    assert code == 2
    assert "diffusion_pytorch_model.safetensors: cannot be read" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["ray://head:10001", "head", ""])
def test_an_address_that_is_none_is_refused_before_anything_is_written(run_command, tmp_path, address):
    board = write(tmp_path, TWO_SHOTS)
    code, _, err = run_command("render", board, "--run", tmp_path / "run", "--address", address)
    assert code == 2
    assert "expected HOST:PORT" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["render", "plan"])
def test_only_an_interrupted_render_is_told_to_render_again(run_command, tmp_path, monkeypatch, command):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("ursa_ray.prepare.prepare", interrupt)
    code, _, err = run_command(command, write(tmp_path, TWO_SHOTS))
    said = {"render": "interrupted; what is committed is safe, render again to go on", "plan": "interrupted"}
    assert (code, err.splitlines()[-1]) == (130, f"ursa-ray: {said[command]}")


def test_terminating_a_render_ends_it_as_ctrl_c_does(tmp_path):
    board = write(tmp_path, TWO_SHOTS.replace("steps: 4", "steps: 900"))
    command = [sys.executable, "-m", "ursa_ray", "render", board, "--run", tmp_path / "run"]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "begins" not in process.stderr.readline():
            pass
        process.terminate()
        rest = process.stderr.read()
    assert process.returncode == INTERRUPTED
    assert "interrupted; what is committed is safe" in rest
    assert "Traceback" not in rest


def test_unknown_options_are_refused(run_command):
    code, _, err = run_command("plan", STORYBOARDS / "quickstart.yaml", "--cpus", "8")
    assert code == 2
    assert "--cpus" in err


def test_every_exit_code_is_documented():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.UrsaRayError)]
    documented = [int(part.split()[0]) for part in EXIT_CODES.removeprefix("Exit codes: ").split("; ")]
    assert sorted(documented) == sorted({kind.exit_code for kind in kinds} | {0, INTERRUPTED})


def test_a_release_that_is_not_on_this_machine_names_the_command_that_fetches_it(run_command, tmp_path):
    code, _, err = run_command("render", STORYBOARDS / "grizzly-minute.yaml", "--run", tmp_path / "run")
    assert code == 2
    assert "hf download BAAI/URSA-1.7B-FSQ320" in err
    assert not (tmp_path / "run").exists()


def test_the_command_can_be_run_as_a_module():
    done = subprocess.run([sys.executable, "-m", "ursa_ray", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.1.0"


COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_is_shown_as_it_is_written(run_command, command):
    code, shown, _ = run_command(command, "-h")
    said = " ".join(shown.split())
    assert code == 0
    assert " ".join(COMMANDS[command].help.split()) in said
    assert [each.help for each in COMMANDS[command].params if " ".join((each.help or "").split()) not in said] == []
    assert "<bool>" not in shown  # of flags, which take no value


def test_the_help_of_the_studio_names_its_extra(run_command):
    assert "ursa-ray[studio]" in run_command("studio", "--help")[1]


def test_the_list_of_commands_cuts_nothing_that_is_said_of_them(run_command):
    code, shown, _ = run_command("--help")
    assert code == 0
    assert [command for command in COMMANDS if command not in shown] == []
    assert "..." not in shown.partition("Commands:")[2]
