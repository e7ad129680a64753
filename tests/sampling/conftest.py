"""Samplings with the built-in model: an image of 2 steps takes a tenth of a second."""

import pytest

from ursa_ray.exchange import WorkerOptions
from ursa_ray.executor import InProcessExecutor
from ursa_ray.ledger import Run
from ursa_ray.sampling import make_samples, plan_samples


@pytest.fixture
def make(tmp_path):
    """Make samples in the run of a test."""

    def make(samples, settings, listener=None, out=None, kind=InProcessExecutor):
        planned = plan_samples(samples, settings)
        run = Run.create(tmp_path / "run")
        options = WorkerOptions(planned.plan.model, planned.plan.weights_sha256, run.store.anywhere, device="cpu")
        return make_samples(planned, run, kind(options), listener, out)

    return make
