"""What stands before Gradio, and what the options allow."""

import asyncio

import pytest

from ursa_ray.errors import OptionError
from ursa_ray.studio import StudioOptions
from ursa_ray.studio.guard import LOCAL_NAMES, Guard
from ursa_ray.studio.server import _asking


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def ask(names, host, path="/"):
    """Status and headers of an answer."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"host", host.encode())]}
    asyncio.run(Guard(hello, names)(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "localhost:80", "[::1]:7860"])
def test_a_studio_answers_under_the_names_of_its_machine(host):
    assert ask(LOCAL_NAMES, host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""])
def test_a_strangers_name_for_this_machine_is_refused(host):
    assert ask(LOCAL_NAMES, host)[0] == 403


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


def test_without_gradio_the_remedy_is_told(run_command, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = run_command("studio")
    assert code == 2 and "pip install 'ursa-ray[studio]'" in err
