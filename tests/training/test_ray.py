import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ursa_ray.errors import OptionError
from ursa_ray.training.config import Config

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own deprecations
@pytest.mark.timeout(240)
def test_ray_train_runs_the_same_worker(config):
    from ursa_ray.cluster.training import train_on_cluster

    train_on_cluster(Config.model_validate(config.model_dump() | {"processes": 2}), address=None)
    assert (config.output / "transformer" / "states" / "00000006.pt").exists()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.timeout(240)
@pytest.mark.slow
def test_the_lines_of_workers_and_one_clear_error_reach_the_user(config, tmp_path):
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True) | {"launcher": "ray"})
    )
    (config.output / "shards").mkdir(parents=True)
    (config.output / "shards" / "stranger.parquet").touch()
    command = [sys.executable, "jobs/train.py", "--config", tmp_path / "config.yaml"]
    done = subprocess.run(list(map(str, command)), cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == OptionError.exit_code
    assert "step 4 loss" in done.stdout + done.stderr
    assert done.stderr.splitlines()[-1].endswith("is none of the 2 shards of this run. Delete it.")


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        ({0: ValueError("timeout"), 1: OptionError("shards: none")}, "shards: none"),
        ({1: ValueError("no room\nmore")}, "training failed under Ray: ValueError: no room"),
    ],
)
def test_the_error_of_a_worker_is_told_in_one_line(failures, told):
    from ray.train import WorkerGroupError

    from ursa_ray.cluster.training import cause_of

    assert str(cause_of(WorkerGroupError("a long trace", failures))) == told
