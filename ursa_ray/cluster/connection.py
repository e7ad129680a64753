"""To a Ray cluster: the one that is named, or one of our own on this machine for as long as the render lasts."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import RayError

from ursa_ray.errors import ReplicaError

# Only codes pass through the object store, 66 KB a segment.
OBJECT_STORE_BYTES = 100 * 2**20

CONNECT_TIMEOUT_S = 10


@contextmanager
def connected(address: str | None, num_cpus: int, logs: bool = False) -> Iterator[None]:
    """Connect to the cluster at `address`, or start one of our own with at least `num_cpus` CPUs.

    With `logs` what workers print is printed here too.

    Raises:
        ReplicaError: there is no cluster there, or none can be started.
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
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_terminate)  # Ray has put its own in its place
    try:
        yield
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Find out in seconds that nobody is there: Ray itself tries for minutes."""
    host, colon, port = address.rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
