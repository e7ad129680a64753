"""Samples in one process: which files there are, what is in them, and what a second call does."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ursa_ray.errors import RenderError
from ursa_ray.executor import Failed, InProcessExecutor
from ursa_ray.explain import explain
from ursa_ray.files import file_sha256
from ursa_ray.fsck import examine
from ursa_ray.ledger import Run, open_store
from ursa_ray.listener import Listener
from ursa_ray.media import probe, read_tags
from ursa_ray.model import Ursa
from ursa_ray.sampling import Sample, Settings, plan_samples, seeds_of

IMAGES = Settings("image", steps=2)
VIDEOS = Settings("video", steps=2)
CIRCLE = Sample("a red circle over a green meadow")
SQUARE = Sample("a purple square over a blue sea")


def there(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class Watch(Listener):
    """What is in a folder when each segment is committed."""

    def __init__(self, folder):
        self.folder, self.seen = folder, []

    def start(self, segment, place):
        self.seen.append(len(there(self.folder)))


def test_an_image_is_what_the_model_makes_of_its_prompt_alone(make):
    made = make([CIRCLE], IMAGES)
    (segment,) = plan_samples([CIRCLE], IMAGES).plan.segments
    ursa = Ursa.from_pretrained("tiny", device="cpu")
    codes = ursa.generate(
        "a red circle over a green meadow",
        num_frames=1,
        num_inference_steps=2,
        guidance_scale=3.0,
        seed=segment.seed,
    )
    assert codes.shape == (1, 6, 8)
    with Image.open(made.files[0], formats=["PNG"]) as image:
        assert np.array_equal(np.asarray(image), ursa.decode(codes)[0])


def test_samples_have_files_where_they_say_and_in_their_order(make, tmp_path):
    samples = [
        Sample(SQUARE.prompt, seed=3, path="00001/samples/0003.png"),
        Sample(CIRCLE.prompt, path="00000/samples/0000.png"),
        Sample(CIRCLE.prompt, seed=1, path="00000/samples/0001.png"),
    ]
    made = make(samples, IMAGES, out=tmp_path / "suite")
    assert made.files == tuple(str(tmp_path / "suite" / sample.path) for sample in samples)
    assert there(tmp_path / "suite") == sorted(sample.path for sample in samples)
    assert made.hashes == tuple(file_sha256(Path(file)) for file in made.files)
    assert len(set(made.hashes)) == 3


def test_the_same_sample_is_made_once_and_written_to_all_of_its_places(make, tmp_path):
    samples = [Sample(CIRCLE.prompt, path="a/circle.png"), Sample(CIRCLE.prompt, path="b/round.png")]
    made = make(samples, IMAGES, out=tmp_path / "out")
    assert made.generated_segments == 1
    assert there(tmp_path / "out") == ["a/circle.png", "b/round.png"]
    assert made.hashes[0] == made.hashes[1]


@pytest.mark.parametrize("settings", [IMAGES, VIDEOS], ids=["image", "video"])
def test_a_sample_is_the_same_alone_and_among_others(make, tmp_path, settings):
    alone = make([SQUARE], settings, out=tmp_path / "alone")
    shutil.rmtree(tmp_path / "run")
    among = make([CIRCLE, SQUARE], settings, out=tmp_path / "among")
    assert Path(among.files[1]).read_bytes() == Path(alone.files[0]).read_bytes()


def test_a_video_says_what_is_behind_each_of_its_own_instants(make):
    _, second = make([CIRCLE, SQUARE], Settings("video", steps=2, extend=1)).files
    # 17 frames, then 12 that go on from the last 5 of them.
    at_first, at_last = explain(f"{second}@#0").instant, explain(f"{second}@#28").instant
    assert (at_first.segment_frame, at_first.segment.film, at_first.segment.index) == (0, (0, 17), 0)
    assert (at_last.segment_frame, at_last.segment.film, at_last.segment.index) == (16, (17, 29), 1)
    assert "purple square" in at_first.segment.prompt


def test_an_image_says_what_it_is_made_of_and_the_seed_to_ask_for_it_again(make, run_command):
    asked = Sample("ein Bär im Nebel 🐻", seed=5)
    (segment,) = plan_samples([asked], IMAGES).plan.segments
    (file,) = make([asked], IMAGES).files
    code, out, err = run_command("explain", file, "--json")
    assert (code, err) == (0, "")
    *lines, found = out.splitlines()
    assert lines[0] == "ein Bär im Nebel 🐻: image, 64x48"
    assert "asked for with: --seed 5, which the seeds of segments are drawn from" in lines
    assert f"seed: {segment.seed}" in lines
    instant = json.loads(found)["instant"]
    assert (json.loads(found)["asked_seed"], instant["key"]) == (5, segment.key)
    assert (instant["prompt"], instant["settings"]["steps"]) == ("ein Bär im Nebel 🐻", 2)
    with Image.open(file) as image:
        assert image.info["Title"] == "ein Bär im Nebel 🐻"


def test_a_video_has_its_prompt_as_title_and_says_the_seed_to_ask_for_it_again(make):
    (file,) = make([Sample("a bear; of\nthe = #2", seed=7)], VIDEOS).files
    assert read_tags(Path(file))["title"] == "a bear; of\nthe = #2"
    assert explain(file).provenance.seed == 7


def test_a_picture_that_says_nothing_or_was_changed_is_refused_in_plain_words(make, run_command, tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "other.png")
    code, out, err = run_command("explain", tmp_path / "other.png")
    assert (code, out) == (2, "")
    assert "other.png: says nothing of how it was made. Only single images of ursa-ray" in err
    (file,) = make([CIRCLE], IMAGES).files
    with Image.open(file) as image:
        said, notes = json.loads(image.info["ursa-ray"]), PngInfo()
        notes.add_text("ursa-ray", json.dumps(said | {"seed": -1}))
        image.save(tmp_path / "changed.png", pnginfo=notes)
    code, out, err = run_command("explain", tmp_path / "changed.png")
    assert (code, out) == (2, "")
    assert "changed.png: what it says of how it was made is damaged or was changed ('seed'" in err


def test_a_picture_in_another_size_than_it_says_tells_its_facts_and_no_instant(make, run_command, tmp_path):
    (file,) = make([CIRCLE], IMAGES).files
    with Image.open(file) as image:
        notes = PngInfo()
        notes.add_text("ursa-ray", image.info["ursa-ray"])
        image.resize((20, 10)).save(tmp_path / "small.png", pnginfo=notes)
    words = "is 20x10, not the 64x48 that it says: another program changed it."
    code, out, err = run_command("explain", f"{tmp_path / 'small.png'}@#0")
    assert (code, out) == (2, "")
    assert f"small.png: {words}" in err
    code, out, _ = run_command("explain", tmp_path / "small.png", "--json")
    assert code == 0
    assert f"warning: the file {words}" in out and "red circle" in out
    said = json.loads(out.splitlines()[-1])
    assert said["misfit"].startswith(words) and said["instant"] is None


def test_an_image_is_the_same_bytes_whichever_ffmpeg_there_is(make, monkeypatch, tmp_path):
    first = make([CIRCLE], IMAGES, out=tmp_path / "first")
    assert explain(first.files[0]).provenance.versions.keys() == {"ursa-ray", "torch"}
    monkeypatch.setattr("ursa_ray.provenance.ffmpeg_version", lambda: "another")
    assert make([CIRCLE], IMAGES, out=tmp_path / "second").hashes == first.hashes


def test_a_run_of_single_results_has_no_film_to_ask_for(make, run_command, tmp_path):
    make([CIRCLE, SQUARE], VIDEOS)
    run = tmp_path / "run"
    for command in (["measure", run], ["report", run], ["explain", f"{run}@1s"]):
        code, out, err = run_command(*command)
        assert (code, out) == (2, "")
        assert f"{run}: is of single images or videos, which lie in samples/" in err
    assert not run.with_suffix(".html").exists()


def test_a_run_of_single_results_says_what_each_is_made_of(make, run_command, tmp_path):
    make([CIRCLE, SQUARE], VIDEOS)
    code, out, _ = run_command("explain", tmp_path / "run", "--json")
    assert code == 0
    first, *_, circle, square, said = out.splitlines()
    assert first == "2 single results, 64x48"
    assert circle.startswith("a-red-circle") and "1 segment, motion=" in circle
    assert square.startswith("a-purple-square") and square.endswith(SQUARE.prompt)
    assert "joined" not in out and "@TIME" not in out
    assert [segment["film_frames"] for segment in json.loads(said)["segments"]] == [[0, 17], [0, 17]]


def test_a_second_call_makes_nothing_and_writes_nothing(make):
    first = make([CIRCLE, SQUARE], IMAGES)
    written = [Path(file).stat().st_mtime_ns for file in first.files]

    class Forbidden(InProcessExecutor):
        def __enter__(self):
            raise AssertionError("there is nothing to make")

    again = make([CIRCLE, SQUARE], IMAGES, kind=Forbidden)
    assert (again.generated_segments, again.hashes) == (0, first.hashes)
    assert [Path(file).stat().st_mtime_ns for file in again.files] == written


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:-1])])
def test_a_file_that_is_lost_or_damaged_is_written_anew_and_the_others_are_left(make, damage):
    first = make([CIRCLE, SQUARE], IMAGES)
    lost, whole = map(Path, first.files)
    written = whole.stat().st_mtime_ns
    damage(lost)
    again = make([CIRCLE, SQUARE], IMAGES)
    assert again.generated_segments == 0
    assert file_sha256(lost) == first.hashes[0]
    assert whole.stat().st_mtime_ns == written


def test_frames_that_are_gone_are_decoded_again_only_for_files_that_lack(make, tmp_path):
    first = make([CIRCLE, SQUARE], IMAGES)
    for frames in (tmp_path / "run" / "media").iterdir():
        frames.unlink()
    Path(first.files[1]).unlink()
    again = make([CIRCLE, SQUARE], IMAGES)
    assert again.hashes == first.hashes
    assert len(there(tmp_path / "run" / "media")) == 1


def test_files_appear_while_others_are_still_being_made(make, tmp_path):
    samples = list(seeds_of([CIRCLE], 6, 0))
    watch = Watch(tmp_path / "out")
    make(samples, IMAGES, watch, out=tmp_path / "out")
    assert watch.seen[0] == 0
    assert watch.seen[-1] >= 1


def test_what_can_be_made_is_written_though_others_fail(make, tmp_path):
    class Unlucky(InProcessExecutor):
        def submit(self, request):
            self.request, self.place = request, super().submit(request)
            return self.place

        def next_event(self, timeout_s):
            if "circle" in self.request.segment.prompt:
                self._running = self._worker = None
                return self.place, Failed(self.request.segment.key, RuntimeError("out of memory"))
            return super().next_event(timeout_s)

    with pytest.raises(RenderError, match=r"a-red-circle-over-a-green-meadow-[0-9a-f]{10}-0 failed"):
        make([CIRCLE, SQUARE], IMAGES, kind=Unlucky, out=tmp_path / "out")
    (written,) = there(tmp_path / "out")
    assert written.startswith("a-purple-square")


def test_a_call_that_is_interrupted_goes_on_without_making_anything_again(make, tmp_path):
    class Interrupting(Listener):
        def __init__(self):
            self.number = itertools.count(1)

        def finish(self, segment, place, seconds):
            if next(self.number) == 2:
                raise KeyboardInterrupt

    samples = list(seeds_of([CIRCLE], 3, 0))
    with pytest.raises(KeyboardInterrupt):
        make(samples, IMAGES, Interrupting())
    made = make(samples, IMAGES)
    assert (made.generated_segments, made.reused_segments) == (1, 2)
    assert all(Path(file).exists() for file in made.files)


def test_a_video_of_one_segment_has_as_many_frames_as_the_model_makes_at_once(make):
    made = make([CIRCLE], VIDEOS)
    found = probe(Path(made.files[0]))
    assert (found.num_frames, found.width, found.height, found.fps) == (17, 64, 48, 12)


def test_extending_adds_the_frames_of_a_segment_without_its_overlap(make):
    made = make([CIRCLE], Settings("video", steps=2, extend=2))
    assert made.generated_segments == 3
    assert probe(Path(made.files[0])).num_frames == 17 + 2 * (17 - 5)


def test_fsck_finds_a_damaged_result_and_a_second_call_mends_it(make, tmp_path):
    made = make([CIRCLE], IMAGES)
    assert list(examine(open_store(tmp_path / "run"))) == []
    Path(made.files[0]).write_bytes(b"not a picture")
    (finding,) = examine(open_store(tmp_path / "run"))
    assert finding.file == f"samples/{Path(made.files[0]).name}"
    assert finding.mended_by_render
    make([CIRCLE], IMAGES)
    assert list(examine(open_store(tmp_path / "run"))) == []


def test_what_was_written_is_still_known_when_the_log_is_put_into_a_snapshot(make, tmp_path, monkeypatch):
    made = make([CIRCLE, SQUARE], IMAGES)
    monkeypatch.setattr("ursa_ray.ledger.run.COMPACT_AT", 1)
    make([CIRCLE], IMAGES)
    assert (tmp_path / "run" / "snap").exists()
    assert set(made.hashes) == set(Run.open(tmp_path / "run").samples.values())
