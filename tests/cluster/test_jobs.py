"""`ursa-ray submit` on a real head that asks for a token."""

import json
import re
import secrets
import signal
import subprocess
from collections import Counter

import pytest
from PIL import Image

from tests.cluster.heads import RAY, started_head
from tests.processes import Process
from tests.storyboards import TWO_SHOTS, write
from ursa_ray.ledger import Run
from ursa_ray.ledger.log import Log

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

# Segments of 1.3 s or more, so that there is a middle to stop in; the last shot begins with a picture.
# Of so many steps that it is not finished before a job could be stopped, which takes a process seconds.
FILM = TWO_SHOTS.replace("steps: 4", "steps: 80") + (
    "  - {id: end, image: stills/end.png, prompt: the picture comes alive, frames: 5, steps: 3}\n"
)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    with started_head(folder, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32)) as head:
        yield head


@pytest.fixture
def with_token(head, monkeypatch):
    for name in ("PATH", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, head.environment[name])


def submit(head, folder, board, *options):
    return Process(folder, "submit", board, "--address", head.dashboard, "--run", folder / "run", *options)


def ray(head, *words):
    command = [RAY, *words, "--address", head.dashboard]
    if words[0] == "job" and len(words) > 2:  # options come first
        command = [RAY, *words[:-1], "--address", head.dashboard, words[-1]]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout


def replicas(head):
    """Those that live, as Ray lists them."""
    filters = ("--filter", "state=ALIVE", "--filter", "class_name=Replica")
    return ray(head, "list", "actors", "--format=json", *filters)


def entries(run):
    return Counter(entry.key for entry in Log(Run.open(run).store).read_new().commits if entry.kind == "segment")


def is_in_the_middle(run):
    """A segment is committed, and of another one steps are kept."""
    return len(list(run.glob("log/*"))) > 2 and any(run.glob("steps/*/*"))


@pytest.mark.usefixtures("with_token")
def test_a_job_that_is_stopped_ends_in_order_and_goes_on_when_submitted_again(head, tmp_path):
    board = write(tmp_path, FILM)
    (tmp_path / "stills").mkdir()
    Image.linear_gradient("L").save(tmp_path / "stills" / "end.png")
    client = submit(head, tmp_path, board, "--device", "cpu")
    client.wait_until(lambda: is_in_the_middle(tmp_path / "run"))
    (job,) = re.findall(r"^job (\S+): 5 segments, 43 frames, to ", client.log.read_text(), flags=re.MULTILINE)
    assert re.fullmatch(r"ursa-film-\d{8}-\d{6}-[0-9a-f]{4}", job)
    assert "Replica" in replicas(head)
    ray(head, "job", "stop", job)
    said = client.end()
    assert client.returncode == 130
    assert "interrupted; what is committed is safe" in said and f"job {job} was stopped" in said
    assert replicas(head) == "No resource in the cluster\n"
    (listed,) = [found for found in ray(head, "job", "list").split("JobDetails(") if job in found]
    expected = {"title": "Two shots", "storyboard": "film.yaml", "run": str(tmp_path / "run"), "segments": "5"}
    assert [f"'{name}': '{value}'" in listed for name, value in expected.items()] == [True] * 4
    assert "RAY_JOB_STOP_WAIT_TIME_S" in listed  # Ray's own wait is shorter than an end in order may take
    with Run.open(tmp_path / "run").locked():
        before = entries(tmp_path / "run")
    assert 1 <= len(before) < 5

    client = submit(head, tmp_path, board, "--device", "cpu")
    client.wait_until(lambda: f"43 frames, {len(before)} already committed" in client.log.read_text())
    client.send_signal(signal.SIGINT)
    left = client.end()[len(said) :]
    assert client.returncode == 130
    (job,) = re.findall("job (.*) goes on", left)
    # The commands that it tells; the one that follows the job ends with it.
    see, stop = (
        re.search(rf"{what} it: +ray (.*) --address {head.dashboard} {job}", left)[1] for what in ("see", "stop")
    )
    assert (see, stop) == ("job logs --follow", "job stop")
    log = ray(head, *see.split(), job)
    assert log.count(" begins") == 5 - len(before)
    after = entries(tmp_path / "run")
    assert set(before) < set(after)
    assert list(after.values()) == [1] * 5
    for text in (said, left):
        assert [mark for mark in ("\x1b", "\r", "Traceback") if mark in text] == []

    client = submit(head, tmp_path, board, "--json")
    out, _ = client.communicate(timeout=100)
    assert client.returncode == 0
    (result,) = map(json.loads, out.splitlines())
    assert (result["reused_segments"], result["generated_segments"]) == (5, 0)
    alone = tmp_path / "alone"
    Process(tmp_path, "render", board, "--run", alone).end()
    assert (tmp_path / "run" / "film.mp4").read_bytes() == (alone / "film.mp4").read_bytes()


@pytest.mark.usefixtures("with_token")
def test_submit_exits_as_the_job_does(head, tmp_path):
    board = write(tmp_path, TWO_SHOTS)
    with Run.create(tmp_path / "run").locked():
        client = submit(head, tmp_path, board)
        said = client.end()
    assert client.returncode == 7
    assert "another render" in said
    assert "Traceback" not in said


def test_without_the_token_nothing_is_submitted(head, tmp_path):
    client = submit(head, tmp_path, write(tmp_path, TWO_SHOTS))
    assert "asks for its token" in client.end()
    assert client.returncode == 2
    assert not (tmp_path / "run").exists()
