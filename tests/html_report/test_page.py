"""`ursa-ray report`: one file that needs nothing else, says what the ledger says, and obeys no storyboard."""

import json
import re
import shutil
from base64 import b64decode
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from tests.html_report.parsing import Page
from tests.storyboards import TWO_CHAINS, write
from tests.test_render import Unlucky, plan_of, render_into
from ursa_ray import __version__
from ursa_ray.errors import RenderError
from ursa_ray.exchange import WorkerOptions
from ursa_ray.html_report import page as page_module
from ursa_ray.ledger import Commit, Run
from ursa_ray.prepare import prepare
from ursa_ray.render import render

HOSTILE = """\
version: 1
title: '</title><script>alert(1)</script>'
model: tiny
defaults: {motion: 5.0, steps: 4, seed: 11, negative_prompt: '"><img src=x>'}
shots:
  - id: dawn  # </pre><script src="https://example.com/x.js"></script>
    prompt: '<svg onload=a()> & "b"'
    frames: 24
  - id: dusk
    continue: dawn
    prompt: 'red {{ contents }}'
    frames: 14
"""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The folder of a finished run, one of whose segments failed once, and was made again by another replica."""
    folder = tmp_path_factory.mktemp("reported") / "a film & more"
    board = write(folder, HOSTILE)
    prepared = prepare(board)
    run = Run.create(folder / "run")
    options = WorkerOptions("tiny", prepared.plan.weights_sha256, run.store.anywhere, device="cpu")
    unlucky = Unlucky(options, shot="dusk", error=RuntimeError("out of <memory>"), num_failures=1)
    render(prepared.plan, run, unlucky, storyboard=prepared.storyboard.text)
    return folder / "run"


@pytest.fixture
def report(run_command):
    def make(run, *arguments):
        code, out, err = run_command("report", run, *arguments, "--json")
        assert code == 0, err
        said = json.loads(out.splitlines()[-1])
        return Page(Path(said["path"]).read_text()), said

    return make


def test_the_page_needs_nothing_from_outside_and_runs_nothing(report, rendered):
    page, said = report(rendered)
    assert said["path"] == str(rendered.parent / "run.html")
    assert page.addresses() and all(address.startswith("data:") for address in page.addresses())
    assert not re.search(r"@import|url\(|@font-face", page.styles)
    assert {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "form", "base"} == set()
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    (policy,) = page.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'") and "script" not in policy["content"]


def test_what_the_storyboard_says_is_only_text(report, rendered):
    page, _ = report(rendered)
    assert "</title><script>alert(1)</script>" in page.texts["all"]
    assert 'motion=5.0, <svg onload=a()> & "b"' in page.texts["segments"]
    assert "motion=5.0, red {{ contents }}" in page.texts["segments"]
    assert '"><img src=x>' in page.texts["all"]
    assert len(page.of("img")) == 1 and len(page.of("svg")) == 2
    assert page.texts["storyboard"] == HOSTILE


def test_film_and_contact_sheet_are_in_it_byte_for_byte(report, rendered):
    page, said = report(rendered)
    assert said["has_film"] and said["is_finished"]
    (film,), (sheet,) = page.of("video"), page.of("img")
    assert b64decode(film["src"].removeprefix("data:video/mp4;base64,")) == (rendered / "film.mp4").read_bytes()
    assert (
        b64decode(sheet["src"].removeprefix("data:image/png;base64,")) == (rendered / "contact-sheet.png").read_bytes()
    )


def test_every_segment_has_a_row_that_agrees_with_the_ledger(report, rendered, run_command):
    page, _ = report(rendered)
    run = Run.open(rendered)
    measured = json.loads(run_command("measure", rendered, "--json")[1].splitlines()[-1])["segments"]
    head, *rows = page.rows
    assert len(rows) == run.plan().num_segments == 4
    for row, segment, measures in zip(rows, run.plan().segments, measured, strict=True):
        cells, commit = dict(zip(head, row, strict=True)), run.segments[segment.key]
        assert (cells["segment"], cells["seed"]) == (segment.name, str(segment.seed))
        assert (cells["key"], cells["device"]) == (segment.key[:12], "cpu")
        assert cells["seconds"] == f"{commit.seconds:.1f}"
        assert cells["replica"] == f"{commit.node}: {commit.replica}"
        assert cells["frames"] == str(measures["num_frames"])
        jump = measures["seam_jump"]
        assert cells["seam jump"] == ("-" if jump is None else f"{jump:.2f}")
        assert cells["failed before"] == ("1" if segment.name.startswith("dusk[0]") else "-")


def test_the_timeline_has_a_bar_for_every_segment_and_a_mark_for_every_failure(report, rendered):
    page, _ = report(rendered)
    assert len(page.of("rect", **{"class": "segment"})) == 4
    assert len(page.of("path", **{"class": "failure"})) == 1
    assert "dusk[0] failed at" in page.texts["all"] and "RuntimeError: out of <memory>" in page.texts["all"]


def test_its_hashes_are_those_of_the_ledger(report, rendered):
    page, _ = report(rendered)
    run = Run.open(rendered)
    for sha256 in (run.plan_sha256, run.plan().weights_sha256, run.last_film.media_sha256, run.storyboard_sha256):
        assert sha256 in page.texts["hashes"]
    assert "torch.float32, 1 thread, onednn attention, torch draws" in page.texts["hashes"]


def test_the_torch_of_the_film_is_told_where_versions_are_said_to_decide(report, rendered):
    page, _ = report(rendered, "--no-film", "--no-measures")
    assert f"versions (the film was joined with torch {metadata.version('torch')}) give" in page.texts["all"]


def test_its_commands_make_the_very_film_again(report, run_command, tmp_path, monkeypatch):
    text = "version: 1\nmodel: tiny\ndefaults: {steps: 2}\nshots:\n  - {id: dawn, prompt: a red square, frames: 24}\n"
    board = write(tmp_path, text)
    for again in ([], ["--retake", "dawn:1"], ["--retake", "dawn"]):
        assert run_command("render", board, "--run", tmp_path / "run", "--device", "cpu", *again)[0] == 0
    page, _ = report(tmp_path / "run", "--no-measures")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("storyboard.yaml").write_text(page.texts["storyboard"])
    version, render = page.texts["commands"].splitlines()
    assert version == f"# with ursa-ray {__version__}"
    assert "--run again --device cpu --dtype float32 --threads 1" in render
    assert render.endswith(" --take dawn:0=2 --take dawn:1=3")
    assert run_command(*render.split()[1:])[0] == 0
    assert Path("again/film.mp4").read_bytes() == (tmp_path / "run" / "film.mp4").read_bytes()


def test_its_commands_compute_and_fetch_what_the_run_had(report, rendered, tmp_path):
    plan = replace(Run.open(rendered).plan(), model="BAAI/URSA-1.7B-FSQ320@v1.0")
    run = Run.create(tmp_path / "run")
    run.begin(plan)
    segment = Commit.of_codes(plan.segments[0].key, np.zeros((5, 6, 8), np.uint16))
    run.commit(replace(segment, device="NVIDIA H100", dtype="torch.bfloat16", seconds=1.0, version="0.1"))
    page, _ = report(tmp_path / "run")
    _, fetch, render = page.texts["commands"].splitlines()
    assert fetch == "hf download BAAI/URSA-1.7B-FSQ320 --revision v1.0"
    assert render.endswith("--run again --device cuda --dtype bfloat16")


def test_a_run_that_is_not_finished_says_so_and_what_failed(report, tmp_path):
    plan = plan_of(tmp_path, TWO_CHAINS)
    with pytest.raises(RenderError):
        render_into(tmp_path / "run", plan, Unlucky, shot="left", error=RuntimeError("out of memory"))
    page, said = report(tmp_path / "run")
    assert (said["is_finished"], said["has_film"]) == (False, False)
    assert "not finished: 3 of 6 segments are committed, 1 failed; the film is not joined yet" in page.texts["all"]
    assert "failed 3 times, the last time with: out of memory" in page.texts["all"]
    assert page.of("video") == page.of("img") == []
    assert page.texts["segments"].count("not made yet") == 3
    assert len(page.of("path", **{"class": "failure"})) == 3
    assert "not in the run" in page.texts["all"]  # its storyboard, as `render_into` gave none


def test_a_run_in_which_nothing_is_made_yet_has_a_report(report, tmp_path):
    Run.create(tmp_path / "run").begin(plan_of(tmp_path))
    page, _ = report(tmp_path / "run")
    assert "0 of 4 segments are committed" in page.texts["all"]
    assert "Nothing is made yet" in page.texts["all"]


def test_a_large_film_is_linked_from_where_the_report_is(report, rendered, tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "MAX_FILM_BYTES", 1000)
    (tmp_path / "reports").mkdir()
    page, said = report(rendered, "--out", tmp_path / "reports" / "x.html")
    assert not said["has_film"]
    (film,) = page.of("video")
    assert (tmp_path / "reports" / unquote(film["src"])).resolve() == (rendered / "film.mp4").resolve()
    assert "too large for this file" in page.texts["all"]


def test_film_and_measures_can_be_left_out(report, rendered, tmp_path):
    page, said = report(rendered, "--no-film", "--no-measures", "--out", tmp_path / "x.html")
    assert not said["has_film"] and said["is_finished"]
    assert page.of("video") == [] and len(page.of("svg")) == 1
    assert "seam jump" not in page.rows[0]


def test_a_run_is_called_by_its_name_also_from_within(report, rendered, tmp_path, monkeypatch):
    shutil.copytree(rendered, tmp_path / "bears")
    monkeypatch.chdir(tmp_path / "bears")
    assert report(".", "--no-film", "--no-measures")[1]["path"] == str(tmp_path / "bears.html")


def test_what_is_damaged_is_not_shown(run_command, rendered, tmp_path):
    for name in ("film.mp4", "contact-sheet.png", "assets/*"):
        run = shutil.copytree(rendered, tmp_path / name.replace("*", "x"))
        (path,) = run.glob(name)
        content = bytearray(path.read_bytes())
        content[-30] ^= 1
        path.write_bytes(content)
        code, _, err = run_command("report", run, "--no-measures")
        assert code == 4
        assert f"{path}: is damaged" in err
        assert not run.with_suffix(".html").exists()


def test_the_run_is_left_alone_and_a_report_into_it_is_refused(run_command, rendered, tmp_path):
    before = {path: path.read_bytes() for path in rendered.rglob("*") if path.is_file()}
    assert run_command("report", rendered, "--out", tmp_path / "x.html", "--no-measures")[0] == 0
    code, _, err = run_command("report", rendered, "--out", rendered / "x.html")
    assert code == 2 and "which keeps to itself. Give an --out elsewhere" in err
    code, _, err = run_command("report", rendered, "--out", tmp_path)
    assert code == 2 and "is a folder" in err
    assert {path: path.read_bytes() for path in rendered.rglob("*") if path.is_file()} == before


def test_a_film_of_a_run_that_older_versions_made_is_reported_too(report, goldens, tmp_path):
    shutil.copytree(goldens / "runs" / "0.1.0", tmp_path / "run")
    page, said = report(tmp_path / "run")
    assert said["is_finished"] and said["has_film"]
    assert [row[0] for row in page.rows[1:]] == ["dawn[0]", "dusk[0]"]
    assert "Nothing is made yet, or by a version that did not note" in page.texts["all"]


def test_a_place_that_can_be_none_is_refused_before_a_frame_is_measured(rendered, run_command, tmp_path):
    (tmp_path / "notes").write_text("a bear")
    code, _, err = run_command("report", rendered, "--out", tmp_path / "notes" / "a.html")
    assert code == 2
    assert f"{tmp_path}/notes is no folder that can be written. Give another place." in err
