"""Suites sampled with the built-in model, and read as the benchmarks' scorers read them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.suites import files
from ursa_ray.errors import OptionError, RenderError
from ursa_ray.exchange import WorkerOptions
from ursa_ray.executor import Failed, InProcessExecutor
from ursa_ray.files import file_sha256
from ursa_ray.ledger import Run
from ursa_ray.listener import Listener
from ursa_ray.media import probe
from ursa_ray.sampling import Evaluation, Settings, plan_samples, sample_suite, samples_of
from ursa_ray.suites import read_dpg, read_geneval, read_vbench, read_vbench_i2v

STEPS = 2
KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from ursa_ray.files import published

with published(Path(sys.argv[1])) as aside:
    aside.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
SEED = 1337


@pytest.fixture
def sample(tmp_path):
    """Sample a suite into `out` of a test."""

    def sample(suite, listener=None, kind=InProcessExecutor):
        settings = Settings(suite.kind, size=(48, 48) if suite.has_grids else None, steps=STEPS)
        planned = plan_samples(samples_of(suite, SEED), settings)
        run = Run.create(tmp_path / "run")
        options = WorkerOptions(planned.plan.model, planned.plan.weights_sha256, run.store.anywhere, device="cpu")
        asked = Evaluation(suite, settings, SEED, planned, str(tmp_path / "out"))
        return sample_suite(asked, run, kind(options), listener)

    return sample


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read_as_geneval(folder):
    """(prompt, image) as `evaluation/evaluate_images.py` of GenEval finds them."""
    for name in os.listdir(folder):
        if not (folder / name).is_dir() or not name.isdigit():
            continue
        with open(folder / name / "metadata.jsonl") as file:
            metadata = json.load(file)
        for image in os.listdir(folder / name / "samples"):
            if re.match(r"\d+\.png", image):
                yield metadata["prompt"], folder / name / "samples" / image


def read_as_vbench(folder, info):
    """Prompt to clips, as `build_full_info_json` of VBench finds them."""
    names = os.listdir(folder)
    postfix = Path(names[0]).suffix
    for entry in info:
        wanted = [f"{entry['prompt_en']}-{number}{postfix}" for number in range(5)]
        yield entry["prompt_en"], [folder / name for name in wanted if name in names]


def test_genevals_scorer_finds_four_different_images_of_every_prompt(sample, tmp_path):
    sample(read_geneval(files.geneval(tmp_path)))
    found = list(read_as_geneval(tmp_path / "out"))
    assert sorted(prompt for prompt, _ in found) == ["a photo of a bench"] * 4 + ["a photo of two cats"] * 4
    assert len({file_sha256(path) for _, path in found}) == 8
    assert len(tree(tmp_path / "out")) == 8 + 2


def test_dpgs_scorer_finds_four_samples_in_each_quarter_of_one_image(sample, tmp_path):
    suite = read_dpg(files.dpg(tmp_path))
    made = sample(suite)
    assert tree(tmp_path / "out") == ["7.png", "vrd6.png"]
    parts = [np.asarray(Image.open(file, formats=["PNG"])) for file in made.files]
    height, width, _ = parts[0].shape
    for name, quarters in (("7", parts[:4]), ("vrd6", parts[4:])):
        grid = np.asarray(Image.open(tmp_path / "out" / f"{name}.png"))
        assert grid.shape == (2 * height, 2 * width, 3)
        assert np.array_equal(grid[:height, :width], quarters[0])
        assert np.array_equal(grid[:height, width:], quarters[1])
        assert np.array_equal(grid[height:, :width], quarters[2])
        assert np.array_equal(grid[height:, width:], quarters[3])


def test_vbenchs_scorer_finds_every_clip_by_its_prompt(sample, tmp_path):
    sample(read_vbench(files.vbench(tmp_path), num_samples=2))
    found = dict(read_as_vbench(tmp_path / "out", files.VBENCH))
    assert {prompt: len(clips) for prompt, clips in found.items()} == {
        "In a still frame, a stop sign": 2,
        "a red bicycle": 2,
        "Ukiyo": 2,
    }
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".mp4"}
    info = probe(found["Ukiyo"][0])
    assert (info.width, info.height) == (64, 48)


def test_clips_of_image_to_video_begin_with_the_suites_image(sample, tmp_path):
    Image.fromarray(np.full((48, 64, 3), 200, np.uint8)).save(tmp_path / "a beach.jpg")
    suite = read_vbench_i2v(files.vbench_i2v(tmp_path), tmp_path, num_samples=1)
    sample(suite)
    assert tree(tmp_path / "out") == ["a beach, camera pans left-0.mp4", "a beach-0.mp4"]
    plan = plan_samples(samples_of(suite, SEED), Settings("video", steps=STEPS)).plan
    assert {segment.condition.sha256 for segment in plan.segments} == {file_sha256(tmp_path / "a beach.jpg")}


def test_sampling_again_makes_only_what_is_missing_or_damaged(sample, tmp_path):
    suite = read_dpg(files.dpg(tmp_path))
    sample(suite)
    first, second = tmp_path / "out" / "7.png", tmp_path / "out" / "vrd6.png"
    before, written_ns = first.read_bytes(), second.stat().st_mtime_ns
    first.write_bytes(before[: len(before) // 2])
    made = sample(suite)
    assert made.generated_segments == 0
    assert first.read_bytes() == before
    assert second.stat().st_mtime_ns == written_ns


def test_what_a_killed_process_left_of_a_grid_is_cleared_away(sample, tmp_path):
    suite = read_dpg(files.dpg(tmp_path))
    sample(suite)
    grid = tmp_path / "out" / "7.png"
    grid.unlink()
    writing = subprocess.Popen([sys.executable, "-c", KILLED_WHILE_WRITING, str(grid)])
    assert writing.wait() == -signal.SIGKILL
    assert any(name.startswith(".aside-") for name in os.listdir(tmp_path / "out"))
    sample(suite)
    assert sorted(os.listdir(tmp_path / "out")) == ["7.png", "vrd6.png"]


class Unlucky(InProcessExecutor):
    """Fails at all shoes."""

    def submit(self, request):
        self.request, self.place = request, super().submit(request)
        return self.place

    def next_event(self, timeout_s):
        if "shoes" in self.request.segment.prompt:
            self._running = self._worker = None
            return self.place, Failed(self.request.segment.key, RuntimeError("out of memory"))
        return super().next_event(timeout_s)


def test_grids_whose_samples_are_there_are_written_though_others_fail(sample, tmp_path):
    with pytest.raises(RenderError, match="shoes"):
        sample(read_dpg(files.dpg(tmp_path)), kind=Unlucky)
    assert tree(tmp_path / "out") == ["vrd6.png"]


def test_grids_appear_while_others_are_still_being_made(sample, tmp_path):
    class Watch(Listener):
        seen = ()

        def start(self, segment, place):
            if segment.seed == last.seed:
                time.sleep(1)  # of what is written side by side
                self.seen = tree(tmp_path / "out")

    suite, watch = read_dpg(files.dpg(tmp_path)), Watch()
    last = plan_samples(samples_of(suite, SEED), Settings(suite.kind, steps=STEPS)).plan.segments[-1]
    sample(suite, watch)
    assert watch.seen == ["7.png"]


def test_what_a_scorer_reads_beside_images_is_there_though_sampling_is_interrupted(sample, tmp_path):
    class Interrupting(Listener):
        def finish(self, segment, place, seconds):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(read_geneval(files.geneval(tmp_path)), Interrupting())
    assert {"00000/metadata.jsonl", "00001/metadata.jsonl"} <= set(tree(tmp_path / "out"))


def test_results_that_are_not_asked_for_are_refused_with_their_names_since_scorers_read_them(sample, tmp_path):
    path = files.geneval(tmp_path)
    sample(read_geneval(path, num_samples=2))
    before = tree(tmp_path / "out")
    with pytest.raises(OptionError, match=r"holds 00000/samples/00001\.png, 00001/samples/00001\.png, which is not"):
        sample(read_geneval(path, num_samples=1))
    assert tree(tmp_path / "out") == before
    (tmp_path / "out" / "00001" / "samples" / "00001.png").unlink()
    (tmp_path / "out" / "00000" / "samples" / "00001.png").unlink()
    assert sample(read_geneval(path, num_samples=1)).generated_segments == 0


def test_no_two_samples_of_a_suite_are_drawn_with_the_same_seed(tmp_path):
    for suite in (read_geneval(files.geneval(tmp_path)), read_dpg(files.dpg(tmp_path))):
        samples = samples_of(suite, SEED)
        assert [sample.seed for sample in samples] == 2 * list(range(SEED, SEED + 4))
        plan = plan_samples(samples, Settings(suite.kind, steps=STEPS)).plan
        assert len({segment.seed for segment in plan.segments}) == suite.num_samples == 8
