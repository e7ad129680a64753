import json
import os

import pytest
import torch
from safetensors.torch import load_file

from tests.random_checkpoint import write_random_checkpoint
from ursa_ray.model import Ursa

# Without a GPU Triton kernels run in its interpreter, which must be asked for before anything imports Triton.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture(scope="session", autouse=True)
def two_threads():
    torch.set_num_threads(2)


@pytest.fixture(scope="session", params=["fsq", "ibq"])
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def golden_folder():
    from tests.conftest import GOLDENS

    return GOLDENS


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory):
    """A folder: 17 frames of 96x64 pixels, 10 steps, 64 tokens of text."""
    folder = tmp_path_factory.mktemp("random") / "checkpoint"
    write_random_checkpoint(folder)
    return folder


@pytest.fixture(scope="session")
def cases(golden_folder):
    return json.loads((golden_folder / "cases.json").read_text())


@pytest.fixture(scope="session")
def golden(kind, golden_folder):
    return load_file(golden_folder / f"golden-{kind}.safetensors")


@pytest.fixture(scope="session")
def ursa(kind, golden_folder):
    return Ursa.from_pretrained(str(golden_folder / f"tiny-{kind}"), device="cpu", dtype=torch.float32)
