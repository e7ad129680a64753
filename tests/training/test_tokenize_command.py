"""`ursa-ray tokenize`, as users meet it."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.cli import main
from ursa_ray.media import write_film
from ursa_ray.model import Ursa
from ursa_ray.training import world
from ursa_ray.training.shards import read_shards


@pytest.fixture
def run_command(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as leaving:
            main(["tokenize", *map(str, arguments)])
        printed = capsys.readouterr()
        return leaving.value.code or 0, printed.out, printed.err

    return run


@pytest.fixture
def clips(tmp_path):
    """Two seconds of a ball: 24 frames, one whole window of 17."""
    folder = tmp_path / "clips"
    folder.mkdir()
    scene = world.sample_scene(np.random.default_rng(0), "train")
    write_film(folder / "ball.mp4", iter(world.draw(scene, num_frames=24)), 24, (64, 48), Fraction(12))
    (folder / "ball.txt").write_text("a ball rolls\n")
    return folder


def test_the_drawn_world_becomes_shards_that_are_gone_on_with(run_command, tmp_path):
    out = tmp_path / "shards"
    code, said, told = run_command(out, "--num-clips", 5, "--per-shard", 2, "--json")
    assert code == 0
    assert json.loads(said.splitlines()[-1]) == {
        "folder": str(out),
        "num_shards": 3,
        "num_new_shards": 3,
        "num_clips": 5,
    }
    assert len(told.splitlines()) == 3
    (out / "00001.parquet").unlink()
    _, said, _ = run_command(out, "--num-clips", 5, "--per-shard", 2)
    assert said == f"{out}: 5 clips in 3 shards, 1 of them new\n"


def test_a_folder_of_clips_becomes_the_models_codes_and_its_captions(run_command, clips, tmp_path):
    code, _, _ = run_command(tmp_path / "shards", "--clips", clips, "--model", "tiny")
    (example,) = read_shards(tmp_path / "shards")
    assert code == 0
    assert example.captions == ("a ball rolls",)
    assert example.codes.shape == (5, 6, 8)
    decoded = Ursa.from_pretrained("tiny", "cpu").decode(torch.from_numpy(example.codes))
    drawn = world.draw(world.sample_scene(np.random.default_rng(0), "train"))
    assert np.abs(decoded.astype(int) - drawn).mean() < 10


def test_windows_can_be_shorter_than_the_models(run_command, clips, tmp_path):
    run_command(tmp_path / "shards", "--clips", clips, "--frames", 9)
    assert [example.codes.shape for example in read_shards(tmp_path / "shards")] == [(3, 6, 8)] * 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "./nowhere"], "nowhere"),
        (["--width", "60"], "width is 60, expected a multiple of 8"),
        (["--frames", "16"], "frames is 16, expected 1 more than a multiple of 4"),
        (["--clips", "empty"], "no captions here"),
        (["--clips", "empty", "--num-clips", "3"], "--num-clips and --per-shard are of the drawn world"),
    ],
)
def test_bad_input_is_one_message_and_writes_nothing(run_command, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command("shards", *options)
    assert (code, out) == (2, "")
    assert words in err and len(err.splitlines()) == 1
    assert not (tmp_path / "shards").exists()


def test_shards_of_another_size_are_refused(run_command, clips, tmp_path):
    run_command(tmp_path / "shards", "--clips", clips)
    code, _, err = run_command(tmp_path / "shards", "--clips", clips, "--frames", 9)
    assert code == 2
    assert "ball.parquet: was made with size 17 frames of 64x48 at 12 fps, expected 9 frames" in err


def test_the_built_in_model_has_the_sizes_that_are_taken_from_it():
    defaults = open_checkpoint("tiny").defaults
    assert (defaults.width, defaults.height, defaults.frames, defaults.fps) == (64, 48, 17, 12)
