"""`ursa-ray submit` up to the head: what never gets there, and what goes with a job."""

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zipfile import ZipFile

import pytest
from PIL import Image
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

from tests.storyboards import FROM_IMAGE, TWO_SHOTS, write
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.cluster import jobs
from ursa_ray.cluster.jobs import Log, Submission
from ursa_ray.errors import AssetError, CheckpointError
from ursa_ray.prepare import prepare

RAY = {"ray_version": "2.60.0", "version": "4"}


class Dashboard(ThreadingHTTPServer):
    """Answers every request alike, and remembers what was asked and whether with a token."""

    def __init__(self, status, content):
        super().__init__(("127.0.0.1", 0), self.Answer)
        self.status, self.content, self.asked = status, content, []
        self.port = self.server_address[1]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.command, self.path, "Authorization" in self.headers))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(json.dumps(self.server.content).encode())

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *words): ...


@pytest.fixture
def dashboard():
    """Starts a dashboard that answers with a status, and with what Ray's says of itself."""
    started = []

    def start(status=200, content=RAY):
        server = Dashboard(status, content)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def submission_of(board):
    return Submission(board, prepare(board), "/shared/run", [])


MISTAKES = {
    "a storyboard that is wrong": (TWO_SHOTS.replace("prompt", "promt", 1), [], "film.yaml:7: shots[0]"),
    "a picture that is missing": (FROM_IMAGE, [], "there is no file"),
    "a model of this machine alone": (
        TWO_SHOTS.replace("model: tiny", "model: mine"),
        [],
        "the folder 'mine'",
    ),
    "an option that render does not know": (TWO_SHOTS, ["--gpus", "8"], "--gpus"),
    "a value that render does not take": (TWO_SHOTS, ["--replicas", "0"], "--replicas"),
    "a run in the job's own folder": (TWO_SHOTS, ["--run", "renders/film"], "--run is 'renders/film'"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_told_here_and_nobody_else_is_asked(run_command, tmp_path, dashboard, what):
    text, options, words = MISTAKES[what]
    server, board = dashboard(), write(tmp_path, text)
    shutil.copytree(TINY, tmp_path / "mine")
    code, out, err = run_command(
        "submit", board, "--address", f"http://127.0.0.1:{server.port}", "--run", tmp_path / "run", *options
    )
    assert (code, out) == (2, "")
    assert words in err
    assert server.asked == []


def test_a_job_without_a_run_is_refused(run_command, tmp_path, dashboard):
    code, _, err = run_command("submit", write(tmp_path, TWO_SHOTS), "--address", "http://127.0.0.1:1")
    assert code == 2
    assert "--run is missing" in err


def test_a_render_within_a_job_does_not_write_into_the_jobs_own_folder(run_command, tmp_path, monkeypatch):
    monkeypatch.setenv(RAY_JOB_CONFIG_JSON_ENV_VAR, "{}")
    code, _, err = run_command("render", write(tmp_path, TWO_SHOTS))
    assert code == 2
    assert "--run is 'renders/film'" in err


@pytest.mark.parametrize("address", ["head:8265", "ray://head:10001", "file:///etc/passwd", "http://", ""])
def test_an_address_that_is_no_dashboards_is_refused(run_command, tmp_path, address):
    board = write(tmp_path, TWO_SHOTS)
    code, _, err = run_command("submit", board, "--run", tmp_path / "run", "--address", address)
    assert code == 2
    assert "expected http://HOST:8265" in err


def test_a_head_that_is_not_there_is_named(run_command, tmp_path):
    board = write(tmp_path, TWO_SHOTS)
    code, _, err = run_command("submit", board, "--run", tmp_path / "run", "--address", "http://127.0.0.1:1")
    assert code == 6
    assert "no dashboard of a Ray cluster at http://127.0.0.1:1: " in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("status", "content"), [(500, RAY), (404, RAY), (200, {}), (200, "hello"), (200, RAY)])
def test_something_else_than_a_dashboard_ends_in_one_line(run_command, tmp_path, dashboard, status, content):
    address = f"http://127.0.0.1:{dashboard(status, content).port}"
    code, _, err = run_command("submit", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run", "--address", address)
    assert code == 6
    assert address in err
    assert len(err.splitlines()) == 1


def test_a_remote_dashboard_that_asks_for_no_token_gets_nothing(run_command, tmp_path, dashboard, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "5" * 64)
    server = dashboard()
    # Leads to the loopback, and is not of it.
    command = ["submit", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run", "--address"]
    code, _, err = run_command(*command, f"http://0.0.0.0:{server.port}")
    assert code == 2
    assert "asks for no token" in err and "--insecure-cluster" in err
    assert server.asked == [("GET", "/api/version", False)]
    run_command(*command, f"http://0.0.0.0:{server.port}", "--insecure-cluster")
    assert ("POST", "/api/jobs/") in [asked[:2] for asked in server.asked]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_missing_or_wrong_is_told_with_the_remedy(run_command, tmp_path, dashboard, status):
    address = f"http://0.0.0.0:{dashboard(status).port}"
    code, _, err = run_command("submit", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run", "--address", address)
    assert code == 2
    assert "asks for its token" in err and "RAY_AUTH_TOKEN" in err
    assert len(err.splitlines()) == 1


def test_the_address_that_is_given_counts_whatever_the_environment_of_ray_says(
    run_command, tmp_path, dashboard, monkeypatch
):
    given, other = dashboard(401), dashboard(401)
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{other.port}")
    address = f"http://127.0.0.1:{given.port}"
    run_command("submit", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run", "--address", address)
    assert given.asked and not other.asked


@pytest.mark.parametrize("before", [{}, {"RAY_API_SERVER_ADDRESS": "http://127.0.0.1:1"}])
def test_the_environment_of_who_submits_is_as_before(run_command, tmp_path, dashboard, monkeypatch, before):
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    address = f"http://127.0.0.1:{dashboard().port}"
    run_command("submit", write(tmp_path, TWO_SHOTS), "--run", tmp_path / "run", "--address", address)
    assert {name: value for name, value in os.environ.items() if name.startswith("RAY_")} == before


def test_the_storyboard_goes_with_the_pictures_that_it_names_and_with_nothing_else(tmp_path):
    text = FROM_IMAGE.replace("title.png", "stills/torch.py")
    text += "  - {id: again, image: ./stills/torch.py, prompt: it rests, frames: 5}\n"
    board = write(tmp_path / "films", text, "My Film.yaml")
    (board.parent / "stills").mkdir()
    for name in ("torch.py", "other.png"):
        Image.new("RGB", (64, 48), "red").save(board.parent / "stills" / name, format="PNG")
    (board.parent / "secret.txt").write_text("mine")
    submission_of(board).pack(tmp_path / "storyboard.zip")
    with ZipFile(tmp_path / "storyboard.zip") as packed:
        # Below a folder: at the top, Python would take the picture for a module.
        assert packed.namelist() == ["storyboard/My Film.yaml", "storyboard/stills/torch.py"]
        packed.extractall(tmp_path / "there")
    there = prepare(tmp_path / "there" / "storyboard" / "My Film.yaml")
    assert [segment.key for segment in there.plan.segments] == [s.key for s in prepare(board).plan.segments]
    submission_of(board).pack(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "storyboard.zip").read_bytes()


def test_what_is_too_large_for_a_job_is_told_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "MAX_BYTES", 10_000)
    board = write(tmp_path, FROM_IMAGE)
    Image.effect_noise((200, 200), 90).save(tmp_path / "title.png")
    with pytest.raises(AssetError, match="folder that all nodes share, and: ray job submit --address"):
        submission_of(board)


def test_a_picture_whose_name_leads_elsewhere_on_the_way_is_refused(tmp_path):
    board = write(tmp_path / "films", FROM_IMAGE.replace("title.png", "../films/title.png"))
    Image.new("RGB", (64, 48)).save(board.parent / "title.png")
    with pytest.raises(AssetError, match=r"film\.yaml:5: '\.\./films/title\.png' cannot go with a job"):
        submission_of(board)


def test_a_model_in_an_absolute_folder_is_taken_to_be_shared(tmp_path):
    shutil.copytree(TINY, tmp_path / "model")
    for model in ("model", "./model"):
        board = write(tmp_path, TWO_SHOTS.replace("model: tiny", f"model: {model}"))
        with pytest.raises(CheckpointError, match=r"film\.yaml:3: the folder"):
            submission_of(board)
    board = write(tmp_path, TWO_SHOTS.replace("model: tiny", f"model: {tmp_path / 'model'}"))
    submission_of(board)


def test_a_log_that_is_heard_again_from_its_beginning_is_told_once_and_by_the_line():
    told = []
    log = Log(told.append)
    at = log.hear("one\ntw")
    log.hear("o\nthr", at)
    at = log.hear("one\n")  # a connection that was lost is made again
    log.hear("two\nthree\nfour", at)
    assert told == ["one", "two", "three"]
    log.end()
    assert told == ["one", "two", "three", "four"]
