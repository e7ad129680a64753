"""To a Ray cluster: the one that is named, or one of our own on this machine for as long as the render lasts."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import grpc
import ray
from ray.exceptions import RayError

from ursa_ray.errors import OptionError, ReplicaError

# Only codes pass through the object store, 66 KB a segment.
OBJECT_STORE_BYTES = 100 * 2**20

CONNECT_TIMEOUT_S = 10

# A question about nothing secret, which a cluster with tokens still answers to nobody who has none.
HARMLESS_QUESTION = "/ray.rpc.NodeInfoGcsService/GetClusterId"


@contextmanager
def connected(address: str | None, num_cpus: int, insecure: bool = False, logs: bool = False) -> Iterator[None]:
    """Connect to the cluster at `address`, or start one of our own with at least `num_cpus` CPUs.

    With `logs` what workers print is printed here too.

    Raises:
        ReplicaError: there is no cluster there, or none can be started.
        OptionError: it is a remote one that asks nobody for a token, and `insecure` does not allow that.
    """
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        if address is not None:
            _require_listener(address)
            ray.init(address, log_to_driver=logs, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local",
                num_cpus=max(num_cpus, os.cpu_count() or 1),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=logs,
                logging_level=logging.ERROR,
            )
    except (RayError, OSError, RuntimeError, ValueError) as error:
        raise ReplicaError(f"no Ray cluster at {address or 'this machine'}: {error}") from error
    except SystemExit as terminated:  # Ray's handler of SIGTERM, which it has put in the place of ours
        raise KeyboardInterrupt from terminated
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_terminate)
    try:
        if address is not None and not insecure:
            require_token(ray.get_runtime_context().gcs_address)
        yield
    finally:
        ray.shutdown()


def require_token(address: str) -> None:
    """Refuse a remote cluster at HOST:PORT whose every neighbour can run code on it.

    Raises:
        OptionError: it does not ask for a token.
    """
    if not is_loopback(address.rpartition(":")[0]) and not turns_strangers_away(address):
        raise asks_for_no_token(address)


def asks_for_no_token(address: str) -> OptionError:
    return OptionError(
        f"the Ray cluster at {address} asks for no token, so whoever reaches it runs code on it and on its "
        "clients. Start it with RAY_AUTH_MODE=token, as cluster.yaml does, or insist with --insecure-cluster."
    )


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def turns_strangers_away(address: str) -> bool:
    """Ask without a token. That ours is taken proves nothing: a cluster without tokens takes any, silently."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(HARMLESS_QUESTION)(b"", timeout=CONNECT_TIMEOUT_S)
        except grpc.RpcError as error:
            return isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNAUTHENTICATED
    return False


def _require_listener(address: str) -> None:
    """Find out in seconds that nobody is there: Ray itself tries for minutes."""
    host, colon, port = address.rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
