"""What stands before Gradio, and what the options allow."""

import asyncio
import socket

import pytest

from tests.storyboards import write
from ursa_ray.errors import OptionError
from ursa_ray.studio import StudioOptions
from ursa_ray.studio.guard import LOCAL_NAMES, Guard
from ursa_ray.studio.server import _asking


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def ask(names, host, path="/", origin=None):
    """Status and headers of an answer."""
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode()), *([] if origin is None else [(b"origin", origin.encode())])]
    scope = {"type": "http", "path": path, "headers": headers}
    asyncio.run(Guard(hello, names)(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "LOCALHOST:80", "localhost.", "[::1]:7860"])
def test_a_studio_answers_under_the_names_of_its_machine(host):
    assert ask(LOCAL_NAMES, host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""])
def test_a_strangers_name_for_this_machine_is_refused(host):
    assert ask(LOCAL_NAMES, host)[0] == 403


@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1:7999", "http://localhost:7860", "https://127.0.0.1:7860", "https://evil.example", "null"],
)
def test_what_a_page_from_elsewhere_sends_is_refused(origin):
    assert ask(LOCAL_NAMES, "127.0.0.1:7860", origin=origin)[0] == 403


def test_the_page_of_the_studio_is_answered_also_behind_a_proxy_with_tls():
    assert ask(LOCAL_NAMES, "127.0.0.1:7860", origin="http://127.0.0.1:7860")[0] == 200
    assert ask(None, "studio.example", origin="https://studio.example")[0] == 200
    assert ask(None, "studio.example", origin="https://evil.example")[0] == 403


def test_where_a_password_is_asked_for_any_name_will_do():
    assert ask(None, "studio.example")[0] == 200


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=http://x", "/gradio_api/file=HTTPS%3A//x", "/gradio_api/proxy=http://x"]
)
def test_nothing_is_fetched_from_elsewhere(path):
    assert ask(None, "localhost", path)[0] == 403


def test_a_page_may_load_nothing_from_elsewhere():
    policy = ask(None, "localhost")[1][b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http:" not in policy and "https:" not in policy and "*" not in policy


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "studio.example"])
def test_an_address_that_other_machines_reach_needs_a_password(host):
    with pytest.raises(OptionError, match="--password-file"):
        StudioOptions(host=host)
    assert not StudioOptions(host=host, password="secret").is_local


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_an_address_of_this_machine_alone_needs_none(host):
    assert StudioOptions(host=host).is_local


@pytest.mark.parametrize(
    ("host", "name"), [("127.0.0.2", "127.0.0.2"), ("::1", "[::1]"), ("0:0:0:0:0:0:0:1", "[::1]"), ("localhost",) * 2]
)
def test_a_studio_answers_under_the_address_that_it_is_served_on(host, name):
    options = StudioOptions(host=host)
    assert options.name == name and name in options.names


def test_a_password_is_asked_for_whatever_the_user_is_called():
    asking = _asking("secret")
    assert asking("anybody", "secret")
    assert not asking("anybody", "Secret") and not asking("secret", "") and not asking("anybody", "\u00e9")


def test_without_its_password_a_studio_is_not_served_to_others(run_command, tmp_path):
    code, _, err = run_command("studio", "--host", "0.0.0.0")
    assert code == 2 and "--password-file" in err
    (tmp_path / "empty").write_text("\n")
    code, _, err = run_command("studio", "--host", "0.0.0.0", "--password-file", tmp_path / "empty")
    assert code == 2 and "its first line is empty" in err


def test_a_port_that_is_taken_is_told_with_the_option_that_chooses_another(run_command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run_command("studio", "--port", port)
    assert code == 2 and f"--port {port} is taken. Give another --port" in err


def test_a_run_that_is_not_there_is_told_before_the_studio_starts(run_command, tmp_path):
    write(tmp_path / "other", "not a run", "notes.txt")
    for place in ("nowhere", "other"):
        code, _, err = run_command("studio", "--open", tmp_path / place)
        assert code == 2 and f"--open {tmp_path / place}: is not a run" in err


def test_an_address_of_another_machine_is_told(run_command, tmp_path):
    password = write(tmp_path, "secret\n", "password")
    code, _, err = run_command("studio", "--host", "192.0.2.1", "--password-file", password)
    assert code == 2 and "--host 192.0.2.1" in err and "Cannot assign" in err


def test_without_gradio_the_remedy_is_told(run_command, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = run_command("studio")
    assert code == 2 and "pip install 'ursa-ray[studio]'" in err
