"""The text of the storyboard is in the run, with the plan that was made of it."""

import shutil

import pytest

from tests.test_render import executor_for, plan_of
from ursa_ray.fsck import examine
from ursa_ray.ledger import Run, open_store
from ursa_ray.ledger import run as run_module
from ursa_ray.ledger.log import Log
from ursa_ray.render import render

ONE_SHOT = """\
version: 1
model: tiny
defaults: {steps: 1}
shots:
  - {id: dawn, prompt: a red square, frames: 5}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    plan = plan_of(folder, ONE_SHOT)
    render_with(folder / "run", plan, ONE_SHOT)
    return plan, folder / "run"


@pytest.fixture
def kept(made, tmp_path):
    return made[0], shutil.copytree(made[1], tmp_path / "run")


def render_with(folder, plan, text):
    run = Run.create(folder)
    render(plan, run, executor_for(plan, run), storyboard=text)


def text_in(folder):
    return (folder / "assets" / Run.open(folder).storyboard_sha256).read_text()


def num_plans(folder):
    return sum(commit.kind == "plan" for commit in Log(open_store(folder)).survey().commits)


def test_it_is_kept_and_the_same_one_again_adds_no_entry(kept):
    plan, folder = kept
    assert text_in(folder) == ONE_SHOT
    render_with(folder, plan, ONE_SHOT)
    assert num_plans(folder) == 1


def test_another_text_of_the_same_plan_takes_its_place(kept):
    plan, folder = kept
    render_with(folder, plan, f"# the same film\n{ONE_SHOT}")
    assert text_in(folder) == f"# the same film\n{ONE_SHOT}"
    assert num_plans(folder) == 2


def test_a_render_that_knows_no_text_keeps_the_one_that_is_there(kept):
    plan, folder = kept
    render_with(folder, plan, None)
    assert text_in(folder) == ONE_SHOT


def test_a_snapshot_remembers_it(kept, monkeypatch):
    plan, folder = kept
    monkeypatch.setattr(run_module, "COMPACT_AT", 1)
    with Run.open(folder).locked():
        pass
    assert list((folder / "snap").iterdir())
    assert text_in(folder) == ONE_SHOT
    assert Run.open(folder).plan() == plan


def test_a_damaged_one_is_found_and_written_anew_by_a_render(kept):
    plan, folder = kept
    (asset,) = (folder / "assets").iterdir()
    asset.write_text("version: 2")
    (finding,) = examine(open_store(folder))
    assert (finding.file, finding.mended_by_render) == (f"assets/{asset.name}", True)
    assert "Render its storyboard again" in finding.fix
    render_with(folder, plan, ONE_SHOT)
    assert list(examine(open_store(folder))) == []
