"""Single results: images and videos that are files of their own instead of shots of one film.

A sampling is a storyboard that nobody wrote: a shot for each sample, none of which continues another. It is planned,
rendered and committed like any; then every shot becomes a file.

    samples = [Sample("a bear in the fog", seed=seed, path=f"00000/samples/{seed:05}.png") for seed in range(4)]
    planned = plan_samples(samples, Settings("image", "BAAI/URSA-1.7B-IBQ1024"))
    made = make_samples(planned, Run.create("renders/suite"), executor, listener, out="suite")

`executor` is any that `render` takes, for `planned.plan`. Files appear in `out`, a folder or s3://bucket/prefix
(`samples` in the run, if it is None), as soon as their segments are committed. The same call goes on where another was
stopped: it generates what is not committed, and writes what is missing or damaged.
"""

from ursa_ray.sampling.make import Made, make_samples, open_results, require_apart, require_no_film
from ursa_ray.sampling.names import run_name
from ursa_ray.sampling.planning import Planned, plan_samples
from ursa_ray.sampling.prompts import Prompt, read_prompts
from ursa_ray.sampling.record import RECORD, Evaluation, read_record
from ursa_ray.sampling.samples import Sample, Settings, seeds_of
from ursa_ray.sampling.suite import sample_suite, samples_of, stale_results

__all__ = [
    "RECORD",
    "Evaluation",
    "Made",
    "Planned",
    "Prompt",
    "Sample",
    "Settings",
    "make_samples",
    "open_results",
    "plan_samples",
    "read_prompts",
    "read_record",
    "require_apart",
    "require_no_film",
    "run_name",
    "sample_suite",
    "samples_of",
    "seeds_of",
    "stale_results",
]
