"""Whatever is damaged in a finished run is reported with its file and what to do, or it changed nothing."""

import json
import os
import random
import shutil
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.ledger.damage import flip
from tests.ledger.finished import finish
from tests.ledger.runs import contents, state
from ursa_ray import fsck
from ursa_ray.errors import LedgerError, MediaError, OptionError
from ursa_ray.fsck import examine
from ursa_ray.ledger import Run, Steps, open_store
from ursa_ray.ledger import run as run_module
from ursa_ray.media import read_mezzanine

NUM_FLIPS, NUM_CUTS = 1000, 200


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A finished run with its log, and the same with a snapshot."""
    folder = tmp_path_factory.mktemp("finished")
    finish(folder / "log")
    shutil.copytree(folder / "log", folder / "snap")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "COMPACT_AT", 1)
        with Run.open(folder / "snap").locked():
            pass
    Run.open(folder / "snap").commit(finish_again(folder / "snap"))
    return folder


def finish_again(folder):
    """One more entry after the snapshot: its film again."""
    film = Run.open(folder).last_film
    assert film is not None
    return film


@pytest.fixture
def run(originals, tmp_path):
    shutil.copytree(originals / "log", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def compacted(originals, tmp_path):
    shutil.copytree(originals / "snap", tmp_path / "compacted")
    return tmp_path / "compacted"


def find(folder):
    return list(examine(open_store(folder)))


def only(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_whole_run_has_no_findings_and_is_not_changed(run, compacted):
    for folder in (run, compacted):
        before = contents(folder)
        assert find(folder) == []
        assert contents(folder) == before


# What it is, whether a render mends it, and a word of the fix.
CASES = [
    ("FORMAT.json", False, "Write"),
    (f"log/{2:020}.parquet", False, "--invalidate 2"),
    (f"log/{4:020}.parquet", False, "--invalidate 4"),
    ("plan-*.parquet", True, "Render its storyboard again"),
    ("assets/*", True, "Render its storyboard again"),
    ("media/0*.mkv", False, "Delete it and render again"),
    ("steps/*/*.parquet", True, "Leave it"),
    ("film.mp4", True, "Render again"),
    ("contact-sheet.png", True, "Render again"),
    ("stills/s1.png", True, "Render again"),
]


@pytest.mark.parametrize(("pattern", "is_mended", "word"), CASES)
def test_a_truncated_file_is_reported_with_what_to_do(run, pattern, is_mended, word):
    path = only(run, pattern)
    cut(path)
    (finding,) = find(run)
    assert (finding.file, finding.mended_by_render) == (str(path.relative_to(run)), is_mended)
    assert finding.problem.startswith(("is damaged", "damaged"))
    assert finding.problem.endswith(".") or finding.problem.endswith(").")
    assert word in finding.fix


@pytest.mark.parametrize("pattern", ["film.mp4", "contact-sheet.png", "stills/s1.png"])
def test_what_is_missing_of_the_film_is_reported(run, pattern):
    only(run, pattern).unlink()
    (finding,) = find(run)
    assert (finding.file, finding.problem) == (pattern, "cannot be read (No such file or directory).")


def test_a_missing_plan_a_missing_entry_and_a_missing_format_are_reported(run):
    plan = only(run, "plan-*")
    for path in (plan, run / "log" / f"{2:020}.parquet", run / "FORMAT.json"):
        path.unlink()
    assert [(finding.file, finding.problem) for finding in find(run)] == [
        ("FORMAT.json", "is missing or cannot be read."),
        (f"log/{2:020}.parquet", "is missing, though later entries are there."),
        (plan.name, "is missing."),
    ]


def test_lost_frames_are_no_damage(run):
    for path in (run / "media").iterdir():
        path.unlink()
    assert find(run) == []


def test_a_damaged_snapshot_is_reported_with_what_is_left_to_do(compacted):
    path = only(compacted, "snap/*")
    cut(path)
    (finding,) = [finding for finding in find(compacted) if finding.file.startswith("snap/")]
    assert "Restore it from a copy, or render into a new --run" in finding.fix


def test_a_damaged_snapshot_of_a_log_that_is_still_there_may_be_deleted(run, monkeypatch):
    monkeypatch.setattr(run_module, "COMPACT_AT", 1)
    opened = Run.open(run)
    monkeypatch.setattr(type(opened.store), "remove", lambda store, name: None)
    with opened.locked():
        pass
    path = only(run, "snap/*")
    cut(path)
    (finding,) = find(run)
    assert (finding.file, finding.fix) == (
        str(path.relative_to(run)),
        "Delete it: the log still holds all that is in it.",
    )
    path.unlink()
    assert find(run) == []


def test_foreign_files_are_reported(run):
    (run / "media" / "holiday.mkv").write_bytes(b"foreign")
    (run / "assets" / ("0" * 64)).write_bytes(b"foreign")
    assert {(finding.file, finding.fix) for finding in find(run)} == {
        ("media/holiday.mkv", "Move it away."),
        (f"assets/{'0' * 64}", "Delete it: the plan does not name it."),
    }


def test_frames_under_the_name_of_others_are_reported(run):
    first, second = sorted((run / "media").iterdir())
    shutil.copyfile(first, second)
    (finding,) = find(run)
    assert finding.file == f"media/{second.name}"
    assert "its frames are not those of its name" in finding.problem


def test_a_plan_under_the_name_of_another_is_reported_and_not_used(run):
    plan = only(run, "plan-*")
    other = plan.with_name(f"plan-{'0' * 64}.parquet")
    shutil.copyfile(plan, other)
    (finding,) = find(run)
    assert (finding.file, finding.fix) == (other.name, "Delete it: it is not of the film here.")
    assert "it holds another plan" in finding.problem


def test_a_step_under_the_name_of_another_segment_is_reported(run):
    only(run, "steps/*").rename(run / "steps" / ("0" * 64))
    (finding,) = find(run)
    assert "is damaged (it is step 7 of" in finding.problem
    assert Steps(open_store(run)).latest("0" * 64) is None


def test_a_run_of_a_newer_version_is_not_looked_at_further(run):
    required = {"format": "ursa-ray run", "version": 1, "requires": ["sound"]}
    (run / "FORMAT.json").write_text(json.dumps(required))
    cut(run / "film.mp4")
    (finding,) = find(run)
    assert (finding.file, finding.fix) == ("FORMAT.json", "Use a newer ursa-ray.")


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(OptionError, match="is not a run"):
        find(tmp_path)


def test_the_command_says_that_all_is_whole(run, run_command):
    assert run_command("fsck", run)[:2] == (0, f"{run}: everything is whole\n")


def test_the_command_ends_with_4_for_what_no_render_would_mend(run, run_command):
    cut(run / "film.mp4")
    code, out, _ = run_command("fsck", run)
    assert (code, len(out.splitlines())) == (0, 1)
    assert out.startswith(f"{run}/film.mp4: is damaged")
    cut(run / "log" / f"{2:020}.parquet")
    code, out, _ = run_command("fsck", run, "--json")
    assert code == 4
    found = json.loads(out.splitlines()[-1])
    assert found["run"] == str(run)
    assert [finding["file"] for finding in found["findings"]] == [f"log/{2:020}.parquet", "film.mp4"]
    assert [finding["mended_by_render"] for finding in found["findings"]] == [False, True]


def test_the_command_that_is_advised_mends_the_log(run, run_command):
    lost = Run.open(run)
    cut(run / "log" / f"{2:020}.parquet")
    (finding,) = find(run)
    with pytest.raises(LedgerError, match="run `ursa-ray fsck`"):
        Run.open(run)
    _, _, advised = finding.fix.partition("ursa-ray fsck ")
    assert run_command("fsck", *advised.split())[0] == 0
    assert find(run) == []
    assert len(lost.segments.keys() - Run.open(run).segments.keys()) == 1


def test_the_command_refuses_to_pass_over_what_is_whole(run, run_command):
    code, _, err = run_command("fsck", run, "--invalidate", "2")
    assert code == 2
    assert "is not to be invalidated" in err


def observed(folder):
    """All that a run says, its steps and frames included."""
    run = Run.open(folder)
    steps = {key: Steps(run.store).latest(key) for key in run.store.names("steps")}
    saved = {key: None if step is None else (step.num_done, step.codes.tobytes()) for key, step in steps.items()}
    return state(run), saved


@cache
def decoded(content: bytes, name: str) -> list[bytes] | str:
    """The frames of a mezzanine, or what is wrong with them; ffmpeg takes 50 ms for each."""
    path = Path(os.environ["HOME"]) / name
    path.write_bytes(content)
    try:
        return [frame.tobytes() for frame in read_mezzanine(path)]
    except MediaError as error:
        return str(error)


def decode_once(path):
    found = decoded(path.read_bytes(), path.name)
    if isinstance(found, str):
        raise MediaError(found)
    return map(np.frombuffer, found)


def damages(folder, rng):
    """Flips and cuts, about as many of each kind of file, whatever its size; of log and snapshot more."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for number in range((NUM_FLIPS + NUM_CUTS) // 2):
        path = files[number % len(files)]
        content = path.read_bytes()
        if number < NUM_FLIPS // 2:
            yield path, flip(content, rng.randrange(8 * len(content)))
        else:
            yield path, content[: rng.randrange(len(content))]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["run", "compacted"])
def test_every_flip_and_cut_anywhere_is_reported_or_changes_nothing(kind, request, monkeypatch):
    folder, found = request.getfixturevalue(kind), Counter()
    monkeypatch.setattr(fsck, "read_mezzanine", decode_once)
    before = observed(folder)
    frames = {path.name: decoded(path.read_bytes(), path.name) for path in (folder / "media").iterdir()}
    for path, damaged in damages(folder, random.Random(kind)):
        name, whole = str(path.relative_to(folder)), path.read_bytes()
        path.write_bytes(damaged)
        findings = find(folder)
        if findings:
            assert {finding.file for finding in findings} == {name}, findings
            assert all(finding.fix and finding.problem for finding in findings)
        else:
            assert observed(folder) == before, name
            assert path.parent.name != "media" or decoded(damaged, path.name) == frames[path.name]
            assert name == "LEASE" or path.suffix in (".parquet", ".mkv"), name
        found[path.suffix or name, bool(findings)] += 1
        path.write_bytes(whole)
    # Half of the bits of a Parquet file say nothing, but the chain tells of most.
    assert found[".parquet", True] > found[".parquet", False]
    assert found[".mkv", True] > found[".mkv", False]
