"""Settings of a Ray cluster of our own, for as long as one render lasts.

Whoever reaches a Ray port runs code as its owner. So a cluster of our own listens on the loopback alone and asks for a
token that only this process and its children know. The mode has to be said: once there is a token file in the home
directory, Ray turns authentication on in some of its processes and not in others.
"""

import os
import secrets
import sys

LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


def keep_private() -> None:
    """Set the environment of this process for a private cluster; call it before Ray is imported."""
    os.environ.update(LOOPBACK_ONLY)
    if "ray" not in sys.modules:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
