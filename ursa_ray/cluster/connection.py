"""To a Ray cluster: the one that is named, or one of our own on this machine for as long as the render lasts."""

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import ray

from ursa_ray.errors import ReplicaError

# Whoever reaches a Ray port runs code as its owner. So a cluster of our own listens on the loopback alone and asks for
# a token that only this process and its children know. The mode has to be said: once there is a token file in the home
# directory, Ray turns authentication on in some of its processes and not in others.
PRIVATE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
}

# Only codes pass through the object store, 66 KB a segment.
OBJECT_STORE_BYTES = 100 * 2**20


@contextmanager
def connected(address: str | None, num_cpus: int) -> Iterator[None]:
    """Connect to the cluster at `address`, or start a private one with at least `num_cpus` CPUs.

    Raises:
        ReplicaError: there is no cluster there, or none can be started.
    """
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    with ExitStack() as stack:
        try:
            if address is not None:
                ray.init(address, **quiet)
            else:
                stack.enter_context(_environment(PRIVATE | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}))
                ray.init(
                    address="local",
                    num_cpus=max(num_cpus, os.cpu_count() or 1),
                    object_store_memory=OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    **quiet,
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ReplicaError(f"no Ray cluster at {address or 'this machine'}: {error}") from error
        stack.callback(ray.shutdown)
        yield


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
