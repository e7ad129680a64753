import pyarrow as pa
import pytest

from tests.evaluation.drawing import DrawingModel, StillModel
from ursa_ray.evaluation.films import Take, cut, plan_take, sample_takes
from ursa_ray.evaluation.joins import joins_figures, measure_chain, tokenizer_windows
from ursa_ray.training import world
from ursa_ray.training.captions import canonical_caption
from ursa_ray.training.world import Scene

SCENE = Scene("green", "circle", "down", "night", speed=1.5, start=(32.0, 12.0))
TAKE = Take(SCENE, canonical_caption(SCENE), seed=5)


def figures(rows: list[dict]) -> dict[str, float]:
    return {figure.name: figure.value for figure in joins_figures(pa.Table.from_pylist(rows))}


def test_a_model_that_draws_on_has_joins_that_do_not_show():
    found = figures([measure_chain(DrawingModel(), take, num_extensions=2) for take in sample_takes(4, seed=1)])
    assert found["seam ratio"] == pytest.approx(1, abs=0.25)
    kept = ["direction kept, first extension", "colour kept, first extension", "colour kept, last extension"]
    assert [found[name] for name in kept] == [1, 1, 1]


def test_a_model_that_jumps_back_at_joins_shows_them():
    class Forgetful(DrawingModel):
        def generate_steps(self, *prompts, **options):
            self._stop = 5  # so that every segment is drawn from the start of the film
            return super().generate_steps(*prompts, **options)

    found = figures([measure_chain(Forgetful(), TAKE, num_extensions=2)])
    assert found["seams over tokenizer alone"] > 3
    assert found["seam ratio, tokenizer alone"] == pytest.approx(1, abs=0.25)


def test_a_film_in_which_nothing_moves_has_no_seam_ratio_and_keeps_no_direction():
    found = figures([measure_chain(StillModel(), TAKE, num_extensions=1)])
    assert "seam ratio" not in found
    assert found["direction kept, first extension"] == 0
    assert found["colour kept, first extension"] == 1


def test_the_tokenizer_alone_sees_the_scene_in_the_windows_of_the_film():
    model = DrawingModel()
    plan = plan_take(model.checkpoint, TAKE, 17 + 12 + 12, join="restored")
    film, joins = cut(plan, tokenizer_windows(model, TAKE, plan))
    assert joins == [17, 29]
    assert (film == world.draw(SCENE, 41)).all()
