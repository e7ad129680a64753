"""Finished runs of releases are still read, say what they said, and go on."""

import hashlib
import shutil
from fractions import Fraction

import pytest

from ursa_ray.fsck import examine
from ursa_ray.ledger import Run
from ursa_ray.plan import ParentCondition
from ursa_ray.summary import run_summary

# Taken with sha256sum and pyarrow alone when each was made.
DAWN = "e948c049996e552c94a0b04e7bbfa6fb929c62f408a490687f481fc0b927538b"
DUSK = "69e6672fea452b53558e88ee8f37d6cb2727bbe26a54ac2217fe292a1bda197f"
PLAN = "d15dc8de2fc1d01839feb72221d80e79dbacc8f913f790ec62c26fbecf8f083c"
FILM = "65a8d442a9475f7a684a366153e98295f60475e8941368c4b01d4177bec053da"
CODES = {
    DAWN: "6defaa88302694e98a2cdb1b7a66d6f351e3b960304af0d4333a2d33e72378e1",
    DUSK: "d35834bd3c0721c6b32ea994065e7950482d5b49ce6a302a69dfffb5209ff414",
}
FRAMES = {
    DAWN: "52a9570a029c878e6ab0d495708bda2e56810d619f4c75b7dd288eb5ce2a427d",
    DUSK: "86a80083d29b8379cf0b155dc719b63c5a8ffdc8b25feb6a21bf51203f003d42",
}


@pytest.fixture
def run(goldens, tmp_path):
    shutil.copytree(goldens / "runs" / "0.1.0", tmp_path / "run")
    return Run.open(tmp_path / "run")


def test_the_segments_of_0_1_0_are_read(run):
    assert {key: hashlib.sha256(commit.array().tobytes()).hexdigest() for key, commit in run.segments.items()} == CODES
    assert {key: commit.media_sha256 for key, commit in run.segments.items()} == FRAMES
    for commit in run.segments.values():
        assert (str(commit.array().dtype), commit.array().shape) == ("uint16", (5, 6, 8))
        assert (commit.device, commit.dtype, commit.num_threads, commit.version) == ("cpu", "torch.float32", 1, "0.1.0")


def test_the_plan_of_0_1_0_is_read(run):
    plan = run.plan()
    assert plan.sha256 == run.plan_sha256 == PLAN
    assert (plan.title, plan.model, plan.fps, plan.crf) == ("Golden", "tiny", Fraction(12), 18)
    assert (plan.width, plan.height, plan.num_frames) == (64, 48, 18)
    dawn, dusk = plan.segments
    assert (dawn.name, dawn.key, dawn.shown, dawn.film) == ("dawn[0]", DAWN, (0, 12), (0, 12))
    assert (dusk.name, dusk.key, dusk.shown, dusk.film) == ("dusk[0]", DUSK, (5, 11), (12, 18))
    assert (dawn.condition, dusk.condition) == (None, ParentCondition(DAWN, 7, 12))
    assert (dusk.prompt, dusk.steps, dusk.seed) == ("motion=5.0, the red square falls", 3, 3041496149226656462)


def test_the_film_of_0_1_0_is_whole(run):
    assert run.last_film.files.keys() == {"film.mp4", "contact-sheet.png", "stills/dawn.png", "stills/dusk.png"}
    assert run.last_film.files["film.mp4"] == run.last_film.media_sha256 == FILM
    assert list(examine(run.store)) == []


def test_the_run_of_0_1_0_is_summed_up_and_goes_on(run):
    summary = run_summary(run)
    assert (summary["num_committed"], summary["num_segments"], summary["num_frames"]) == (2, 2, 18)
    assert summary["film"] == run.where("film.mp4")
    with run.locked():
        run.commit(run.segments[DAWN])
    assert Run.open(run.store.folder).segments == run.segments
