import pytest

from ursa_ray.training.config import Config


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own deprecations
@pytest.mark.timeout(240)
def test_ray_train_runs_the_same_worker(config):
    pytest.importorskip("pandas", reason="pip install ursa-ray[train]")
    from ursa_ray.cluster.training import train_on_cluster

    train_on_cluster(Config.model_validate(config.model_dump() | {"processes": 2}), address=None)
    assert (config.output / "transformer" / "states" / "00000006.pt").exists()
