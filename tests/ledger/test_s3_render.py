"""Films whose run is in a bucket, from the command line: the same bytes, resumed, kept to one render at a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storyboards import TWO_CHAINS, TWO_SHOTS, write
from tests.test_render import Interrupted, plan_of, render_into
from ursa_ray.files import file_sha256
from ursa_ray.ledger import FILM, Run, open_store


def test_an_interrupted_render_in_a_bucket_goes_on_and_ends_with_the_bytes_of_one_in_a_folder(
    bucket, tmp_path, run_command
):
    plan = plan_of(tmp_path)
    expected = render_into(tmp_path / "run", plan)
    with pytest.raises(KeyboardInterrupt):
        render_into(f"{bucket}/films/x", plan, Interrupted, after=2)
    assert len(Run.open(f"{bucket}/films/x").segments) == 2
    code, out, _ = run_command(
        "render", tmp_path / "film.yaml", "--run", f"{bucket}/films/x", "--device", "cpu", "--json"
    )
    rendered = json.loads(out.splitlines()[-1])
    assert (code, rendered["film"]) == (0, f"{bucket}/films/x/film.mp4")
    assert (rendered["generated_segments"], rendered["reused_segments"]) == (2, 2)
    store = open_store(f"{bucket}/films/x")
    with store.reading(FILM) as film:
        assert film.read_bytes() == Path(expected.film).read_bytes()
    assert store.names("stills") == ["dawn.png", "dusk.png"]
    assert store.names("steps") == []
    again = render_into(f"{bucket}/films/x", plan)
    assert (again.generated_segments, again.sha256) == (0, expected.sha256)


def test_a_render_of_a_run_that_another_works_on_exits_with_7(bucket, tmp_path, run_command):
    run = Run.create(f"{bucket}/x")
    # A tenth of the life that renders have, so that this test takes one second of waiting.
    run.store._life_s = 3.0
    with run.locked():
        code, _, err = run_command("render", write(tmp_path, TWO_SHOTS), "--run", f"{bucket}/x", "--device", "cpu")
    assert code == 7
    assert "another render works on this run (process " in err


def test_results_for_a_bucket_that_is_not_there_are_refused_before_anything_is_made(bucket, tmp_path, run_command):
    command = ["image", "a red circle", "--steps", "2", "--device", "cpu", "--run", tmp_path / "work"]
    code, _, err = run_command(*command, "--out", f"{bucket}-not/suite")
    assert code == 2
    assert "-not/suite: cannot be written (there is no such bucket)" in err
    assert not (tmp_path / "work").exists()


def test_images_in_a_bucket_are_found_again_and_a_damaged_one_is_written_anew(bucket, run_command):
    command = ["image", "a red circle", "a blue square", "--steps", "2", "--device", "cpu", "--json"]
    command += ["--run", f"{bucket}/x", "--out", f"{bucket}/suite"]
    made = json.loads(run_command(*command)[1].splitlines()[-1])
    store = open_store(f"{bucket}/suite")
    assert [f"{bucket}/suite/{name}" for name in store.names("")] == [sample["file"] for sample in made["samples"]][
        ::-1
    ]
    store.put(store.names("")[0], b"damaged")
    again = json.loads(run_command(*command)[1].splitlines()[-1])
    assert again == made | {"generated_segments": 0, "reused_segments": 2}
    for sample in made["samples"]:
        with store.reading(sample["file"].rpartition("/")[2]) as file:
            assert file_sha256(file) == sample["sha256"]


@pytest.mark.ray
def test_replicas_of_a_cluster_work_on_the_same_bucket(bucket, tmp_path):
    plan = plan_of(tmp_path, TWO_CHAINS)
    expected = render_into(tmp_path / "run", plan)
    command = [sys.executable, "-m", "ursa_ray", "render", tmp_path / "film.yaml", "--run", f"{bucket}/x", "--json"]
    done = subprocess.run([*command, "--replicas", "2"], capture_output=True, text=True, check=True, timeout=110)
    assert json.loads(done.stdout.splitlines()[-1])["generated_segments"] == 6
    with open_store(f"{bucket}/x").reading(FILM) as film:
        assert file_sha256(film) == expected.sha256
