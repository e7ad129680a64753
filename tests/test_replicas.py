"""Options about replicas, handed on as a command line has them."""

from dataclasses import asdict

import pytest
import typer

from ursa_ray.cli import main
from ursa_ray.cli.app import app
from ursa_ray.cli.options import Attention, Device, Draws, Dtype, Parallel
from ursa_ray.cli.replicas import Replicas

GIVEN = [
    Replicas(),
    Replicas(replicas=8, min_replicas=2, accelerator=["H100", "H200"], address="10.0.0.7:6379", insecure_cluster=True),
    Replicas(
        device=Device.CUDA, devices_per_replica=2, parallel=Parallel.GUIDANCE, dtype=Dtype.FLOAT16, preview=[3, 9]
    ),
    Replicas(threads=4, attention=Attention.MATH, draws=Draws.TORCH, compile=True),
]


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("command", ["render", "image", "studio"])
def test_they_are_read_as_they_were_given(given, command):
    commands = typer.main.get_command(app)
    arguments = {"render": ["film.yaml"], "image": ["a circle"], "studio": []}[command]
    read = commands.get_command(None, command).make_context(command, [*given.words(), *arguments]).params
    assert Replicas(**{name: read[name] or getattr(Replicas, name) for name in asdict(given)}) == given


def test_a_studio_refuses_what_contradicts_itself(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["studio", "--replicas", "2", "--min-replicas", "3"])
    assert leaving.value.code == 2
    assert "--min-replicas" in capsys.readouterr().err
