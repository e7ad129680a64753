import numpy as np
from PIL import Image

from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.evaluation.films import Take, chain_frames, cut, make_segments, plan_take
from ursa_ray.exchange import WorkerOptions
from ursa_ray.executor import InProcessExecutor
from ursa_ray.export import ExportOptions, export
from ursa_ray.ledger import Run
from ursa_ray.media import CODECS
from ursa_ray.model import Ursa
from ursa_ray.render import render
from ursa_ray.training.captions import canonical_caption
from ursa_ray.training.world import Scene

SCENE = Scene("green", "circle", "down", "night", speed=1.5, start=(32.0, 12.0))
TAKE = Take(SCENE, canonical_caption(SCENE), seed=5)


def test_a_film_is_the_one_that_the_pipeline_renders(tmp_path):
    plan = plan_take(open_checkpoint("tiny"), TAKE, 33, steps=2)
    run = Run.create(tmp_path / "run")
    render(plan, run, InProcessExecutor(WorkerOptions("tiny", plan.weights_sha256, run.store.anywhere, device="cpu")))
    rendered = export(ExportOptions(str(tmp_path / "run"), tmp_path / "frames", CODECS["png"])).path
    frames = np.stack([np.array(Image.open(path)) for path in sorted(rendered.iterdir())])
    film, _ = cut(plan, make_segments(Ursa.from_pretrained("tiny", "cpu"), plan))
    assert np.array_equal(film, frames)


def test_a_prompt_is_planned_as_it_is_said():
    plan = plan_take(open_checkpoint("tiny"), TAKE, 17)
    assert [segment.prompt for segment in plan.segments] == [TAKE.prompt]


def test_joins_default_to_the_pipelines_and_can_be_as_published():
    checkpoint = open_checkpoint("tiny")
    num_frames = chain_frames(checkpoint, num_extensions=2)
    restored, published = (plan_take(checkpoint, TAKE, num_frames, join=join) for join in (None, "published"))
    assert [segment.restore_condition for segment in restored.segments] == [False, True, True]
    assert not any(segment.restore_condition for segment in published.segments)
    assert num_frames == 41
