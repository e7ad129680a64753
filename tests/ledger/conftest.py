from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from uuid import uuid4

import numpy as np
import pytest

from tests.ledger.s3_server import running_server
from tests.plan.boards import plan_of
from ursa_ray.ledger import Commit, Run
from ursa_ray.ledger.bucket import connect
from ursa_ray.plan import Plan


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(tmp_path / "run")


@pytest.fixture
def plan() -> Plan:
    """Shots of every kind of condition, and what Parquet could take for something else."""
    shots = (
        {"frames": 60, "prompt": "fog,\nthen 'rain' \u9727", "negative_prompt": "", "seed": 2**63 - 1},
        {"continue": "s0", "flow_shift": 2.5},
        {"video": "clips/\u00e4 b.mp4", "guidance": 0.1},
        {"image": "still.png", "prompt": "null"},
    )
    plan = plan_of(*shots, title='A "title"', video={"fps": "24000/1001"}, output={"crf": 0})
    assert plan.fps == Fraction(24000, 1001)
    return plan


@pytest.fixture
def commit() -> Callable[..., Commit]:
    """A committed segment of 60 codes; other keys have other codes."""

    def make(key: str = "ab" * 32, dtype: type = np.uint16) -> Commit:
        codes = np.random.default_rng(list(key.encode())).integers(0, 64_000, (3, 4, 5)).astype(dtype)
        about = {"device": "cpu", "dtype": "torch.float32", "seconds": 1.5, "version": "0.1.0"}
        return replace(Commit.of_codes(key, codes), media_sha256="cd" * 32, **about)

    return make


@pytest.fixture
def rendered(run, commit, plan):
    """Two segments, a plan and a film: four entries."""
    run.begin(plan)
    run.commit(commit("one"))
    run.commit(commit("two", np.uint32))
    run.commit(Commit("film", plan.sha256, media_sha256="ef" * 32))
    return run


@pytest.fixture(scope="session")
def s3_address():
    with running_server() as address:
        yield address


@pytest.fixture
def bucket(s3_address, monkeypatch):
    """The URL of an empty bucket, with the environment in which boto3 finds it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = f"films-{uuid4()}"
    connect(1, 10.0).create_bucket(Bucket=name)
    return f"s3://{name}"
