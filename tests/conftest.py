"""Every test runs with its own home, no network and no inherited settings; shapes are checked at run time."""

import os
import signal
from pathlib import Path
from unittest.mock import patch

import pytest
from jaxtyping import install_import_hook

# Before torch is imported: more threads than free cores make small networks many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The signatures of the model carry shapes; here, and only here, every call is checked against them.
install_import_hook("ursa_ray.model", "beartype.beartype")

GOLDENS = Path(__file__).parent / "goldens"


@pytest.hookimpl(trylast=True)  # after the shuffle
def pytest_collection_modifyitems(items):
    """What starts clusters comes first: files that take minutes, begun last, would have the other processes wait."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)


@pytest.fixture(scope="session", autouse=True)
def without_inherited_settings():
    """Also where a fixture lives longer than a test."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "RAY_", "HF_", "URSA_")):
            del os.environ[name]


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    # Whatever a test sets there ends with it.
    with patch.dict(os.environ, HOME=str(home), HF_HOME=str(home / "huggingface"), HF_HUB_OFFLINE="1", NO_COLOR="1"):
        # A shell starts what it runs in the background with Ctrl-C ignored, and every process hands that on.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield


@pytest.fixture
def goldens() -> Path:
    return GOLDENS


@pytest.fixture
def run_command(capsys):
    """Run a command of `ursa-ray` in this process; its exit code, standard output and standard error."""
    from ursa_ray.cli import main  # after the hook

    def run(*arguments):
        with pytest.raises(SystemExit) as leaving:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return leaving.value.code or 0, printed.out, printed.err

    return run
