"""What comes back from a replica is believed only if it can be what was asked for."""

from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.storyboards import TWO_SHOTS, write
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.checks import wrong_output
from ursa_ray.errors import RenderError
from ursa_ray.ledger import Run
from ursa_ray.media import write_film
from ursa_ray.prepare import prepare
from ursa_ray.render import InProcessExecutor, render
from ursa_ray.work import Done, Request, WorkerOptions

# The built-in model: 17 frames of 128x192 are 5 x 6 x 8 codes, each one of 8 x 5 x 5 x 5.
GOOD = np.full((5, 6, 8), 999, np.uint16)
SHA256 = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return prepare(write(tmp_path_factory.mktemp("board"), TWO_SHOTS)).plan


def problem(plan, codes=GOOD, frames_sha256=SHA256):
    return wrong_output(plan.segments[0], open_checkpoint("tiny"), codes, frames_sha256)


def test_what_was_asked_for_is_believed(plan):
    assert problem(plan) is None
    assert problem(plan, np.zeros_like(GOOD)) is None


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (GOOD[:4], r"codes uint16 \(4, 6, 8\), expected uint16 \(5, 6, 8\)"),
        (GOOD.transpose(0, 2, 1), r"codes uint16 \(5, 8, 6\), expected"),
        (GOOD.reshape(-1), r"codes uint16 \(240,\), expected"),
        (GOOD[:0], r"codes uint16 \(0, 6, 8\), expected"),
        (GOOD.astype(np.int64), "codes int64 .*, expected uint16"),
        (GOOD.astype(">u2"), "codes >u2 .*, expected uint16"),
        (np.full(GOOD.shape, np.nan), "codes float64"),
        (np.full(GOOD.shape, "999"), "codes <U3"),
        (np.full(GOOD.shape, None), "codes object"),
        (GOOD + np.uint16(1), "the code 1000, expected less than 1000"),
        (np.where(np.arange(240).reshape(GOOD.shape) == 77, 65535, GOOD).astype(np.uint16), "the code 65535"),
        (GOOD.tolist(), "gave list for codes, expected an array"),
        (None, "gave NoneType for codes"),
    ],
)
def test_other_shapes_kinds_and_codes_are_not_believed(plan, codes, words):
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(problem(plan, codes))


@pytest.mark.parametrize(
    "name", ["", "../../film", SHA256 + "/..", SHA256.upper(), SHA256[:-1], SHA256 + "\n", 5, None]
)
def test_frames_are_named_by_a_hash_and_by_nothing_else(plan, name):
    assert "expected the hash" in problem(plan, frames_sha256=name)


class Wrong(InProcessExecutor):
    """The first `num_wrong` segments come back with a code that does not exist."""

    def __init__(self, options, num_wrong):
        super().__init__(options)
        self.num_left = num_wrong

    def next_event(self):
        event = super().next_event()
        if isinstance(event, Done) and self.num_left > 0:
            self.num_left -= 1
            event.codes[0, 0, 0] = 64_000
        return event


def render_wrongly(folder, plan, num_wrong):
    run = Run.create(folder)
    return render(plan, run, Wrong(WorkerOptions("tiny", plan.weights_sha256, run.folder, "cpu"), num_wrong))


def test_wrong_output_costs_an_attempt_and_is_never_committed(plan, tmp_path):
    assert render_wrongly(tmp_path / "run", plan, num_wrong=2).generated_segments == 4
    codes = [commit.array() for commit in Run.open(tmp_path / "run").segments.values()]
    assert max(array.max() for array in codes) < 1000


def test_output_that_stays_wrong_fails_its_shot(plan, tmp_path):
    with pytest.raises(RenderError, match=r"dawn\[0\]: .*the code 64000, expected less than 1000"):
        render_wrongly(tmp_path / "run", plan, num_wrong=10**6)
    assert Run.open(tmp_path / "run").segments == {}


PLAIN = (str, int, float, Fraction, np.ndarray, Path, type(None))


def leaves(value):
    """What data is made of, in the end."""
    if is_dataclass(value):
        for field in fields(value):
            yield from leaves(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def test_what_travels_to_a_replica_and_back_is_plain_data(tmp_path):
    """Frozen dataclasses of text, numbers and arrays: nothing that does something when it is unpickled."""
    Image.new("RGB", (192, 128)).save(tmp_path / "a.png")
    write_film(tmp_path / "b.mp4", [np.zeros((128, 192, 3), np.uint8)] * 9, 9, (192, 128), Fraction(12))
    shots = "  - {id: a, image: a.png, prompt: x, frames: 24}\n  - {id: b, video: b.mp4, prompt: x, frames: 9}\n"
    plan = prepare(write(tmp_path, f"version: 1\nmodel: tiny\nshots:\n{shots}")).plan
    assert {type(segment.condition).__name__ for segment in plan.segments} == {
        "ImageCondition",
        "ParentCondition",
        "ClipCondition",
    }
    requests = [Request(segment, plan.fps, GOOD, GOOD) for segment in plan.segments]
    done = Done(plan.segments[0].key, GOOD, SHA256, "cpu", "torch.float32", 1, 0.3)
    options = WorkerOptions("tiny", SHA256, tmp_path)
    for sent in (*requests, done, options):
        assert [leaf for leaf in leaves(sent) if not isinstance(leaf, PLAIN)] == []
        with pytest.raises(AttributeError):
            sent.key = "another"
