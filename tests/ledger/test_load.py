"""A film of an hour: 1200 segments with the codes of 49 frames of 512x320 each."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.plan.boards import plan_of
from ursa_ray.ledger import Commit, Run

NUM_SEGMENTS = 1200
MAX_S, MAX_BYTES = 5.0, 500 * 10**6

# Seconds of its processor, for others may use the machine. A child's peak of memory begins with its parent's, so that
# is forgotten first. With 200 descriptors a 201st cannot be opened.
STATUS = """\
import json, resource, sys, time
from pathlib import Path
Path("/proc/self/clear_refs").write_text("5")
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
started = time.process_time()
from ursa_ray.ledger import Run
from ursa_ray.summary import run_summary
summary = run_summary(Run.open(sys.argv[1]))
seconds = time.process_time() - started
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps({"seconds": seconds, "bytes": 1024 * int(peak.split()[1]), "summary": summary}))
"""


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    run = Run.create(tmp_path_factory.mktemp("hour") / "run")
    plan = plan_of(*({"frames": 193} for _ in range(NUM_SEGMENTS // 5)))
    assert plan.num_segments == NUM_SEGMENTS
    codes = np.random.default_rng(1).integers(0, 64_000, (13, 40, 64)).astype(np.uint16)
    made = replace(Commit.of_codes("", codes), seconds=1.0, media_sha256="ab" * 32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        run.begin(plan)
        for segment in plan.segments:
            run.commit(replace(made, key=segment.key))
    return run


def measure(folder):
    done = subprocess.run([sys.executable, "-c", STATUS, folder], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["summary"]["num_committed"], found["summary"]["num_segments"]) == (NUM_SEGMENTS, NUM_SEGMENTS)
    assert found["summary"]["seconds_spent"] == NUM_SEGMENTS
    return found


def require(found):
    assert found["seconds"] < MAX_S
    assert found["bytes"] < MAX_BYTES


def test_a_log_of_1200_segments_opens_plans_and_reports_in_5_s_500_mb_and_200_descriptors(hour):
    assert len(list((hour.store.folder / "log").iterdir())) == NUM_SEGMENTS + 1
    require(measure(hour.store.folder))


def test_so_does_a_snapshot_of_as_many_and_it_is_made_within_that_memory(hour, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    for name in ("log", "FORMAT.json", next(name for name in hour.store.names("") if name.startswith("plan-"))):
        copied(hour.store.folder / name, tmp_path / "run" / name)
    compact = STATUS.replace("run_summary(Run.open(sys.argv[1]))", "compacted(Run.open(sys.argv[1]))").replace(
        "started = ",
        "def compacted(run):\n    with run.locked():\n        return run_summary(run)\nstarted = ",
    )
    done = subprocess.run([sys.executable, "-c", compact, tmp_path / "run"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["bytes"] < MAX_BYTES
    assert [len(os.listdir(tmp_path / "run" / folder)) for folder in ("log", "snap")] == [0, 1]
    require(measure(tmp_path / "run"))


def copied(source, target):
    if source.is_dir():
        target.mkdir()
        for path in source.iterdir():
            os.link(path, target / path.name)
    else:
        os.link(source, target)
