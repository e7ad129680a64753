"""A cluster of our own is to ourselves; somebody else's is used only if it asks for a token."""

import http.client
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest

from tests.processes import listeners_below
from tests.storyboards import TWO_SHOTS, write
from ursa_ray.cli import main
from ursa_ray.cluster import connection, executor
from ursa_ray.cluster.connection import HARMLESS_QUESTION, connected, turns_strangers_away
from ursa_ray.errors import OptionError

OF_OUR_OWN = """
import sys
from ursa_ray.cluster.private import keep_private
keep_private()
import ray
from ursa_ray.cluster.connection import connected
with connected(None, 1):
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
"""


def shows_the_dashboard(port):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as link:
        try:
            link.request("GET", "/")
            return link.getresponse().read().lower().startswith(b"<!doctype html")
        except (OSError, http.client.HTTPException):
            return False


@pytest.fixture(scope="module")
def own_cluster():
    """Its driver, and the address of its head."""
    command = [sys.executable, "-c", OF_OUR_OWN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        yield process, process.stdout.readline().strip()
        process.stdin.close()


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells who listens")
def test_a_cluster_of_our_own_listens_on_the_loopback_alone_and_has_no_dashboard(own_cluster):
    process, head = own_cluster
    listeners = listeners_below(process.pid)
    assert f"127.0.0.1:{head.rpartition(':')[2]}" in {f"{address}:{port}" for address, port in listeners}
    assert {str(address) for address, _ in listeners if not address.is_loopback} == set()
    assert [port for _, port in listeners if shows_the_dashboard(port)] == []


@pytest.mark.ray
def test_a_cluster_of_our_own_turns_away_who_has_no_token(own_cluster):
    assert turns_strangers_away(own_cluster[1])
    with grpc.insecure_channel(own_cluster[1]) as channel, pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
        channel.unary_unary(HARMLESS_QUESTION)(b"", metadata=[("authorization", f"Bearer {'0' * 64}")])


class Answering(grpc.GenericRpcHandler):
    """A head that answers every question, or that refuses to with `code`."""

    def __init__(self, code=None):
        self.code = code

    def service(self, _):
        def answer(_, context):
            if self.code is not None:
                context.abort(self.code, "no")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@contextmanager
def head_that(handler):
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, handlers=[handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def test_a_head_is_trusted_only_if_it_says_that_a_token_is_missing():
    with head_that(Answering(grpc.StatusCode.UNAUTHENTICATED)) as head:
        assert turns_strangers_away(head)
    for code in (None, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE):
        with head_that(Answering(code)) as head:
            assert not turns_strangers_away(head)


@pytest.fixture
def connecting_to(monkeypatch):
    """Connect to a head at an address, as if it were there, that asks for a token or not."""

    def connect(address, asks, **options):
        left = []
        monkeypatch.setattr(connection, "_require_listener", lambda _: None)
        monkeypatch.setattr(connection, "turns_strangers_away", lambda _: asks)
        monkeypatch.setattr(connection.ray, "init", lambda *_, **__: None)
        monkeypatch.setattr(connection.ray, "shutdown", lambda: left.append(address))
        monkeypatch.setattr(connection.ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address=address))
        try:
            with connected(address, 1, **options):
                assert left == []
        finally:
            assert left == [address]

    return connect


@pytest.mark.parametrize("address", ["10.1.2.3:6379", "head.example.org:6379", "auto"])
def test_a_remote_cluster_without_tokens_is_refused_and_left(connecting_to, address):
    with pytest.raises(OptionError, match=f"{address} asks for no token.* RAY_AUTH_MODE=token.*--insecure-cluster"):
        connecting_to(address, asks=False)


def test_a_remote_cluster_with_tokens_is_used(connecting_to):
    connecting_to("10.1.2.3:6379", asks=True)


def test_a_remote_cluster_without_tokens_is_used_if_the_user_insists(connecting_to):
    connecting_to("10.1.2.3:6379", asks=False, insecure=True)


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "localhost:6379", "[::1]:6379"])
def test_a_cluster_on_the_loopback_needs_no_token(connecting_to, address):
    connecting_to(address, asks=False)


def test_insisting_on_the_command_line_reaches_the_connection(monkeypatch, tmp_path):
    asked = []

    @contextmanager
    def remember(address, num_cpus, insecure):
        asked.append((address, insecure))
        raise OptionError("far enough")
        yield

    monkeypatch.setattr(executor, "connected", remember)
    command = ["render", str(write(tmp_path, TWO_SHOTS)), "--run", str(tmp_path / "run"), "--address", "10.1.2.3:6379"]
    for options in ([], ["--insecure-cluster"]):
        with pytest.raises(SystemExit):
            main([*command, *options])
    assert asked == [("10.1.2.3:6379", False), ("10.1.2.3:6379", True)]
