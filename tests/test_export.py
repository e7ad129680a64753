"""`ursa-ray export`: the film of a run again, through the command line."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.storyboards import TWO_SHOTS, write
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.cli import main
from ursa_ray.exchange import WorkerOptions
from ursa_ray.executor import InProcessExecutor
from ursa_ray.ledger import Run
from ursa_ray.media import ffmpeg
from ursa_ray.model import Ursa
from ursa_ray.prepare import prepare
from ursa_ray.render import render

WIDTH, HEIGHT, NUM_FRAMES = 64, 48, 38


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The folder of a finished run that no test changes, and its plan."""
    folder = tmp_path_factory.mktemp("rendered")
    plan = prepare(
        write(folder, TWO_SHOTS.replace("shots:", "output: {crf: 12}\nsegment: {join: restored}\nshots:"))
    ).plan
    run = Run.create(folder / "run")
    render(plan, run, InProcessExecutor(WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, device="cpu")))
    return folder / "run", plan


@pytest.fixture(scope="module")
def shown(rendered):
    """The film's frames: what ffmpeg alone decodes of the mezzanines, cut as the plan says."""
    folder, plan = rendered
    run = Run.open(folder)
    return np.concatenate([pixels(mezzanine(run, segment.key))[slice(*segment.shown)] for segment in plan.segments])


@pytest.fixture
def run_copy(rendered, tmp_path):
    return shutil.copytree(rendered[0], tmp_path / "copy")


@pytest.fixture
def export(capsys):
    """Run `ursa-ray export`; its exit code, what --json said (None if it failed), and standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as leaving:
            main(["export", *map(str, arguments), "--json"])
        printed = capsys.readouterr()
        code = leaving.value.code or 0
        return code, None if code else json.loads(printed.out.splitlines()[-1]), printed.err

    return run


def mezzanine(run, key):
    with run.mezzanine(key) as path:
        return path


def pixels(path, width=WIDTH, height=HEIGHT):
    command = [ffmpeg.executable(), "-v", "error", "-i", path, "-fps_mode", "passthrough"]
    scaled = ["-vf", "scale=in_color_matrix=bt709:flags=accurate_rnd+full_chroma_int"]
    raw = subprocess.run(
        [*command, *scaled, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    )
    return np.frombuffer(raw.stdout, np.uint8).reshape(-1, height, width, 3)


def pictures(path):
    """Frames of an animation, as Pillow decodes them."""
    with Image.open(path) as film:
        return np.stack([np.asarray(film.convert("RGB")) for index in range(film.n_frames) if film.seek(index) is None])


def psnr(frames, expected):
    error = np.square(frames.astype(float) - expected).mean(axis=(1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(error, 1e-9))


@pytest.mark.parametrize(
    ("name", "codec", "least_db"),
    [
        ("a.mp4", "h264", 35),
        ("b.mp4", "hevc", 33),
        ("a.mov", "prores", 35),
        ("a.gif", "gif", 35),
        ("a.webp", "webp", 30),
    ],
)
def test_an_export_shows_the_films_frames_in_their_order(export, rendered, shown, tmp_path, name, codec, least_db):
    code, said, _ = export(rendered[0], "--out", tmp_path / name, "--codec", codec)
    assert code == 0
    assert (said["codec"], said["num_frames"], said["fps"], said["decoded_segments"]) == (codec, NUM_FRAMES, 12, 0)
    assert said["size_bytes"] == (tmp_path / name).stat().st_size
    frames = (pictures if codec in {"gif", "webp"} else pixels)(tmp_path / name)
    assert frames.shape == shown.shape
    assert psnr(frames, shown).mean() > least_db
    assert psnr(frames, shown).min() > 30  # shifted by a frame it would be 22


def test_ffv1_keeps_every_bit(export, rendered, shown, tmp_path):
    export(rendered[0], "--out", tmp_path / "a.mkv")
    np.testing.assert_array_equal(pixels(tmp_path / "a.mkv"), shown)


def test_a_name_without_suffix_becomes_a_folder_of_every_frame(export, rendered, shown, tmp_path):
    export(rendered[0], "--out", tmp_path / "frames")
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == [f"{number:06d}.png" for number in range(NUM_FRAMES)]
    np.testing.assert_array_equal([np.asarray(Image.open(file)) for file in files], shown)


def test_the_same_codec_and_quality_give_the_film_byte_for_byte(export, rendered, tmp_path):
    export(rendered[0], "--out", tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == (rendered[0] / "film.mp4").read_bytes()


def test_another_quality_gives_another_size(export, rendered, tmp_path):
    _, good, _ = export(rendered[0], "--out", tmp_path / "good.mp4", "--codec", "hevc", "--crf", "10")
    _, poor, _ = export(rendered[0], "--out", tmp_path / "poor.mp4", "--codec", "hevc", "--crf", "40")
    assert poor["size_bytes"] < good["size_bytes"] / 2


@pytest.mark.parametrize("gone", ["all", "the first"])
def test_frames_that_are_gone_come_from_codes_and_the_run_is_left_alone(export, rendered, run_copy, tmp_path, gone):
    run = Run.open(run_copy)
    keys = [segment.key for segment in rendered[1].segments][: None if gone == "all" else 1]
    for key in keys:
        mezzanine(run, key).unlink()
    before = {path: path.stat().st_mtime_ns for path in run_copy.rglob("*")}
    code, said, err = export(run_copy, "--out", tmp_path / "again.mp4", "--device", "cpu")
    assert code == 0
    assert "warning" not in err
    assert (said["decoded_segments"], said["differing_segments"]) == (len(keys), 0)
    assert (tmp_path / "again.mp4").read_bytes() == (run_copy / "film.mp4").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in run_copy.rglob("*")} == before


def test_codes_are_decoded_with_as_many_threads_as_they_were_made_with(
    export, rendered, run_copy, tmp_path, monkeypatch
):
    run, given = Run.open(run_copy), [2, 1, 3, 2]
    for segment, num_threads in zip(rendered[1].segments, given, strict=True):
        mezzanine(run, segment.key).unlink()
        run.commit(replace(run.segments[segment.key], num_threads=num_threads))
    real, used = Ursa.decode, []

    def decode(self, codes):
        used.append(torch.get_num_threads())
        return real(self, codes)

    monkeypatch.setattr(Ursa, "decode", decode)
    export(run_copy, "--out", tmp_path / "again.mp4", "--device", "cpu")
    assert used == given


def test_codes_are_decoded_in_the_dtype_that_they_were_made_in_if_that_was_on_such_a_device(
    export, rendered, run_copy, tmp_path, monkeypatch
):
    run, given = Run.open(run_copy), [("cpu", "torch.bfloat16"), ("NVIDIA H200", "torch.float16")] * 2
    for segment, (device, dtype) in zip(rendered[1].segments, given, strict=True):
        mezzanine(run, segment.key).unlink()
        run.commit(replace(run.segments[segment.key], device=device, dtype=dtype))
    real, used = Ursa.decode, []

    def decode(self, codes):
        used.append(self.dtype)
        return real(self, codes)

    monkeypatch.setattr(Ursa, "decode", decode)
    export(run_copy, "--out", tmp_path / "again.mp4", "--device", "cpu")
    assert used == [torch.bfloat16, torch.float32] * 2


def test_an_export_from_mezzanines_loads_no_torch(rendered, tmp_path):
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(sorted({'torch', 'ray', 'transformers'} & set(sys.modules))))\n"
        f"sys.argv = ['ursa-ray', 'export', {str(rendered[0])!r}, '--out', {str(tmp_path / 'a.gif')!r}]\n"
        "from ursa_ray.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "a.gif").exists()


def test_another_frame_rate_is_refused_until_told_how(export, rendered, tmp_path):
    code, _, err = export(rendered[0], "--out", tmp_path / "a.mkv", "--fps", "24")
    assert code == 2
    assert "has 12 frames a second, not 24" in err
    assert "--retime nearest" in err
    assert "--retime speed" in err
    assert list(tmp_path.iterdir()) == []


def test_nearest_keeps_the_duration(export, rendered, shown, tmp_path):
    _, said, _ = export(rendered[0], "--out", tmp_path / "a.mkv", "--fps", "24", "--retime", "nearest")
    assert (said["num_frames"], said["fps"], said["seconds"]) == (76, 24, pytest.approx(38 / 12))
    np.testing.assert_array_equal(pixels(tmp_path / "a.mkv"), np.repeat(shown, 2, axis=0))


def test_speed_keeps_the_frames(export, rendered, shown, tmp_path):
    _, said, _ = export(rendered[0], "--out", tmp_path / "a.mkv", "--fps", "24000/1001", "--retime", "speed")
    assert (said["num_frames"], said["seconds"]) == (38, pytest.approx(38 * 1001 / 24000))
    np.testing.assert_array_equal(pixels(tmp_path / "a.mkv"), shown)


def test_the_films_own_rate_needs_no_telling(export, rendered, tmp_path):
    code, said, _ = export(rendered[0], "--out", tmp_path / "a.mp4", "--fps", "12")
    assert (code, said["num_frames"]) == (0, NUM_FRAMES)


def test_another_size_is_scaled(export, rendered, shown, tmp_path):
    _, said, _ = export(rendered[0], "--out", tmp_path / "a.mkv", "--size", "128x96")
    frames = pixels(tmp_path / "a.mkv", 128, 96)
    assert (said["width"], said["height"], len(frames)) == (128, 96, NUM_FRAMES)
    halved = frames.reshape(NUM_FRAMES, 48, 2, 64, 2, 3).mean(axis=(2, 4))
    assert psnr(halved, shown).min() > 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "100x100"], "would stretch a film of 64x48. Give 100x75 or 133x100"),
        (["--size", "96x"], "expected width and height such as 1024x640"),
        (["--size", "65x49"], "h264 takes films of even width and height, not 65x49"),
        (["--size", "0x0"], "out of range"),
        (["--fps", "fast"], "expected a number from 1 to 240"),
        (["--fps", "1000"], "expected a number from 1 to 240"),
        (["--retime", "speed"], "needs a frame rate"),
        (["--codec", "av1"], "Known: h264, hevc, prores, ffv1, png, gif, webp"),
        (["--codec", "gif"], "Expected: .gif for gif"),
        (["--crf", "52"], "51"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_written(export, rendered, tmp_path, arguments, words):
    code, _, err = export(rendered[0], "--out", tmp_path / "a.mp4", *arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_quality_for_a_codec_without_one_is_refused(export, rendered, tmp_path):
    code, _, err = export(rendered[0], "--out", tmp_path / "a.mov", "--crf", "20")
    assert code == 2
    assert "prores has no crf" in err


def test_an_unfinished_run_says_how_much_is_missing(export, rendered, tmp_path):
    folder, plan = rendered
    finished, unfinished = Run.open(folder), Run.create(tmp_path / "run")
    unfinished.begin(plan)
    for segment in plan.segments[:-1]:
        unfinished.commit(finished.segments[segment.key])
    code, _, err = export(tmp_path / "run", "--out", tmp_path / "a.mp4")
    assert code == 2
    assert "1 of 4 segments are not rendered yet. Render on" in err
    assert not (tmp_path / "a.mp4").exists()


def test_a_run_without_a_plan_is_refused(export, tmp_path):
    Run.create(tmp_path / "run")
    code, _, err = export(tmp_path / "run", "--out", tmp_path / "a.mp4")
    assert code == 2
    assert "nothing is planned here yet" in err


def test_what_is_there_is_replaced_only_if_told(export, rendered, tmp_path):
    (tmp_path / "a.gif").write_bytes(b"holidays")
    code, _, err = export(rendered[0], "--out", tmp_path / "a.gif")
    assert (code, (tmp_path / "a.gif").read_bytes()) == (2, b"holidays")
    assert "--overwrite" in err
    code, _, _ = export(rendered[0], "--out", tmp_path / "a.gif", "--overwrite")
    assert (code, (tmp_path / "a.gif").read_bytes()[:6]) == (0, b"GIF89a")


def test_a_replaced_folder_holds_nothing_of_the_old_one(export, rendered, tmp_path):
    export(rendered[0], "--out", tmp_path / "frames")
    export(rendered[0], "--out", tmp_path / "frames", "--overwrite", "--fps", "6", "--retime", "nearest")
    assert len(list((tmp_path / "frames").iterdir())) == NUM_FRAMES // 2
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


@pytest.mark.parametrize("written", ["", "half"])
def test_an_export_removes_what_a_killed_one_to_the_same_place_left_aside(export, rendered, tmp_path, written):
    for name in ("a.gif", "b.gif"):
        killed_while_writing(tmp_path / name, written)
    assert len(list(tmp_path.iterdir())) == 2
    export(rendered[0], "--out", tmp_path / "a.gif")
    assert len(list(tmp_path.glob(".aside-*"))) == 1
    export(rendered[0], "--out", tmp_path / "b.gif")
    assert {path.name for path in tmp_path.iterdir()} == {"a.gif", "b.gif"}


def killed_while_writing(path, written):
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ursa_ray.files import published\n"
        "with published(Path(sys.argv[1])) as aside:\n"
        "    if sys.argv[2]:\n"
        "        aside.write_text(sys.argv[2])\n"
        "    os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path), written], check=True)


def test_a_folder_that_holds_anything_else_is_never_replaced(export, rendered, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "000000.png").write_bytes(b"")
    (tmp_path / "photos" / "cat.txt").write_text("meow")
    code, _, err = export(rendered[0], "--out", tmp_path / "photos", "--overwrite")
    assert code == 2
    assert "holds cat.txt" in err
    assert (tmp_path / "photos" / "cat.txt").read_text() == "meow"


@pytest.mark.parametrize("name", ["a.gif", "frames"])
def test_a_file_does_not_replace_a_folder_nor_a_folder_a_file_nor_either_a_link(export, rendered, tmp_path, name):
    other = tmp_path / name
    if name == "a.gif":
        other.mkdir()
    else:
        other.write_bytes(b"")
    code, _, err = export(rendered[0], "--out", other, "--overwrite")
    assert code == 2
    assert "does not replace" in err
    other.rename(tmp_path / "other")
    other.symlink_to(tmp_path / "nowhere")
    code, _, err = export(rendered[0], "--out", other, "--overwrite")
    assert code == 2
    assert "is a link" in err
    assert os.readlink(other) == str(tmp_path / "nowhere")


@pytest.mark.parametrize("inside", ["copy/film.mp4", "copy/media/a.mkv", "copy/frames", "link/a.gif", "copy"])
def test_nothing_is_written_into_the_run(export, run_copy, tmp_path, inside):
    (tmp_path / "link").symlink_to(run_copy / "stills")
    before = sorted(run_copy.rglob("*"))
    code, _, err = export(run_copy, "--out", tmp_path / inside, "--overwrite")
    assert code == 2
    assert "is inside the run" in err
    assert sorted(run_copy.rglob("*")) == before


def test_damaged_frames_leave_the_old_export(export, rendered, run_copy, tmp_path):
    (tmp_path / "a.mov").write_bytes(b"the old one")
    path = mezzanine(Run.open(run_copy), rendered[1].segments[-1].key)
    path.write_bytes(path.read_bytes()[:-2000])
    code, _, err = export(run_copy, "--out", tmp_path / "a.mov", "--overwrite")
    assert code == 5
    assert "damaged" in err
    assert (tmp_path / "a.mov").read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mov", "copy"]


@pytest.fixture
def run_without_frames(rendered, tmp_path):
    """A run whose one committed shot has codes, and frames under a name that no file has."""
    finished, run = Run.open(rendered[0]), Run.create(tmp_path / "codes")
    shutil.copytree(TINY, tmp_path / "model")
    plan = prepare(write(tmp_path, TWO_SHOTS.replace("tiny", "model"))).plan
    run.begin(plan)
    for segment, old in zip(plan.segments, rendered[1].segments, strict=True):
        run.commit(replace(finished.segments[old.key], key=segment.key, media_sha256="0" * 64))
    return tmp_path / "codes"


def test_codes_need_the_model_that_made_them(export, run_without_frames, tmp_path):
    config = tmp_path / "model" / "vae" / "config.json"
    config.write_text(config.read_text() + "\n")
    code, _, err = export(run_without_frames, "--out", tmp_path / "a.gif", "--device", "cpu")
    assert code == 2
    assert "other weights than the plan was made with" in err
    assert not (tmp_path / "a.gif").exists()


def test_frames_that_differ_from_the_films_are_told(export, run_without_frames, tmp_path):
    code, said, err = export(run_without_frames, "--out", tmp_path / "a.gif", "--device", "cpu")
    assert code == 0
    assert (said["decoded_segments"], said["differing_segments"]) == (4, 4)
    assert "warning: segments whose frames, decoded here, are not those of the film: 4" in err


def test_a_device_that_fails_while_decoding_is_one_message(export, run_without_frames, tmp_path, monkeypatch):
    def full(self, codes):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Ursa, "decode", full)
    code, _, err = export(run_without_frames, "--out", tmp_path / "a.gif")
    assert code == 3
    assert "dawn[0]: its codes cannot be decoded: CUDA out of memory. Try --device cpu." in err
    assert not (tmp_path / "a.gif").exists()


def test_an_ffmpeg_without_the_encoder_is_named(export, rendered, tmp_path, monkeypatch):
    real, poor = ffmpeg.executable(), tmp_path / "ffmpeg"
    poor.write_text(f'#!/bin/sh\n"{real}" "$@" | grep --text -v " libx265 "\n')
    poor.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "executable", lambda: str(poor))
    code, _, err = export(rendered[0], "--out", tmp_path / "a.mp4", "--codec", "hevc")
    assert code == 5
    assert f"{poor} lacks the encoder libx265, which codec hevc needs" in err
    assert not (tmp_path / "a.mp4").exists()


def test_a_place_that_can_be_none_is_refused_before_a_frame_is_read(export, rendered, tmp_path):
    (tmp_path / "notes").write_text("a bear")
    code, _, err = export(rendered[0], "--out", tmp_path / "notes" / "a.mov")
    assert code == 2
    assert (
        err == f"ursa-ray: {tmp_path}/notes: {tmp_path}/notes is no folder that can be written. Give another place.\n"
    )


def test_single_results_are_no_film_to_export(run_command, tmp_path):
    run = tmp_path / "run"
    assert run_command("image", "a red circle", "--steps", "2", "--device", "cpu", "--run", run)[0] == 0
    code, _, err = run_command("export", run, "--out", tmp_path / "a.mp4")
    assert (code, (tmp_path / "a.mp4").exists()) == (2, False)
    assert f"{run}: is of single images or videos" in err
