import csv
import tempfile

import numpy as np
import pytest
import torch

from ursa_ray.errors import OptionError
from ursa_ray.model import Ursa
from ursa_ray.training.config import Config
from ursa_ray.training.export import export
from ursa_ray.training.launch import launch
from ursa_ray.training.loop import newest_state, train
from ursa_ray.training.optimizers import Optimizers
from ursa_ray.training.randomness import LOOKING, TRAINING, Draws
from ursa_ray.training.stages import from_scratch, run, transformer_task, work
from ursa_ray.training.team import Team


def weights(folder):
    return torch.load(newest_state(folder), weights_only=True)["module"]


def changed(config: Config, **values) -> Config:
    return Config.model_validate(config.model_dump(exclude_unset=True) | values)


@pytest.fixture
def trained(config) -> Config:
    run(config)
    return config


def test_a_run_leaves_curves_pictures_shards_and_states(trained):
    output = trained.output
    for stage, last in (("tokenizer", 4), ("transformer", 6)):
        with (output / stage / "curve.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        assert [int(row["step"]) for row in rows] == list(range(2, last + 1, 2))
        assert all(float(row["loss"]) > 0 for row in rows)
        assert (output / stage / "looks" / f"{last:06d}.png").exists()
    assert len(list((output / "shards").glob("*.parquet"))) == 2


def test_an_exported_run_loads_and_makes_clips(trained, tmp_path):
    assert export(trained, tmp_path / "model") == 6
    ursa = Ursa.from_pretrained(str(tmp_path / "model"))
    assert (ursa.checkpoint.defaults.steps, ursa.checkpoint.defaults.guidance) == (4, 3.0)
    frames = ursa.decode(ursa.generate("motion=3.0, a red square moves up", seed=1))
    assert frames.shape == (9, 24, 32, 3) and frames.dtype == np.uint8


def test_a_fine_tuned_model_keeps_all_but_its_transformer(trained, tmp_path):
    export(trained, tmp_path / "model")
    of_the_run = {"width": 32, "height": 24, "frames": 9, "max_prompt_length": 24}
    options = {"checkpoint": str(tmp_path / "model"), "output": tmp_path / "tuned", "tokenizer": None, "decoder": None}
    tuned = changed(trained, model=of_the_run, **options)
    run(tuned)
    assert export(tuned, tmp_path / "new") == 6
    assert Ursa.from_pretrained(str(tmp_path / "new")).checkpoint.defaults.steps == 4
    before, after = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "model", tmp_path / "new")
    )
    differs = [str(name) for name in before if before[name] != after[name]]
    assert before.keys() == after.keys()
    assert differs == ["transformer/diffusion_pytorch_model.safetensors"]


@pytest.mark.parametrize("stage", ["tokenizer", "transformer"])
def test_a_resumed_run_has_the_weights_of_an_undisturbed_one(config, tmp_path, stage):
    run(config)
    undisturbed = weights(config.output / stage)
    again = changed(config, output=tmp_path / "again")
    stop_after(again, stage, num_steps=2 if stage == "tokenizer" else 3)
    run(again)
    resumed = weights(again.output / stage)
    assert all(torch.equal(undisturbed[name], resumed[name]) for name in undisturbed)


@pytest.mark.parametrize("moved", [False, True])
def test_a_run_that_ended_goes_on_when_given_more_steps_here_or_elsewhere(config, tmp_path, moved):
    run(config)
    first_rows = (config.output / "transformer" / "curve.csv").read_text().splitlines()
    longer = changed(config, transformer=config.transformer.model_dump(exclude_unset=True) | {"steps": 9})
    if moved:
        longer = changed(longer, output=config.output.rename(tmp_path / "elsewhere"))
    run(longer)
    assert newest_state(longer.output / "transformer").stem == "00000009"
    with (longer.output / "transformer" / "curve.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8, 9]
    assert rows[0]["loss"] in first_rows[1]
    assert float(rows[3]["rate"]) == pytest.approx(2 / 9, abs=1e-4)  # step 8 of 9, falling from 1 to 0


def test_a_run_of_fewer_steps_than_were_done_is_refused(trained):
    shorter = changed(trained, transformer=trained.transformer.model_dump(exclude_unset=True) | {"steps": 4})
    with pytest.raises(OptionError, match="was trained for 6 steps, expected at most the 4"):
        run(shorter)


def test_a_tokenizer_that_is_trained_further_makes_the_shards_stale(trained):
    with pytest.raises(OptionError, match="was made with tokenizer"):
        run(changed(trained, tokenizer=trained.tokenizer.model_dump(exclude_unset=True) | {"steps": 6}))


def stop_after(config: Config, stage: str, num_steps: int) -> None:
    """Leave the state of a run that was stopped: the last one saved before the end."""
    run(config)
    states = sorted((config.output / stage / "states").glob("*.pt"))
    assert [int(state.stem) for state in states][-2] == num_steps
    states[-1].unlink()


def test_another_seed_gives_other_weights(config, tmp_path):
    run(config)
    other = changed(config, output=tmp_path / "other", seed=4)
    run(other)
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(weights(config.output / "transformer")[name], weights(other.output / "transformer")[name])


def remember(config: Config) -> None:
    """A worker of `launch` that leaves what it drew, what it has learned, and a mean over the team."""
    task, team = Remembering(), Team.here()
    train(task, config.transformer, config.seed, config.output / "stage")
    counted = torch.nn.Parameter(torch.zeros(1))
    counted.grad = torch.tensor([1.0 + team.rank])
    team.average_gradients([counted])
    left = {"weight": task.module.weight.detach(), "drawn": torch.stack(task.drawn), "mean": counted.grad}
    torch.save(left, config.output / f"{team.rank}.pt")


class Remembering:
    """Learns the sums of points; every process draws its own."""

    def __init__(self):
        torch.manual_seed(0)
        self.module, self.drawn = torch.nn.Linear(3, 2), []

    def loss(self, draws: Draws, progress: float):
        self.drawn.append(torch.randn(5, 3, generator=draws.torch()))
        return (self.module(self.drawn[-1]) - self.drawn[-1].sum(1, keepdim=True)).square().mean(), {}

    def look(self, module, draws: Draws, picture):
        return {}


def test_two_processes_stay_together_and_learn_from_both(config):
    """Both have the weights of one process that steps along the mean of their gradients."""
    schedule = config.transformer.model_copy(update={"muon": None})
    pair = config.model_copy(update={"processes": 2, "transformer": schedule})
    config.output.mkdir(parents=True)
    launch(remember, pair)
    first, second = (torch.load(config.output / f"{rank}.pt") for rank in range(2))
    assert not torch.equal(first["drawn"], second["drawn"])
    assert torch.equal(first["weight"], second["weight"])
    assert first["mean"] == second["mean"] == 1.5
    alone = Remembering()
    optimizers = Optimizers(alone.module, schedule)
    for step in range(schedule.steps):
        losses = [alone.loss(Draws(config.seed, TRAINING, step, rank), 0.0)[0] for rank in range(2)]
        (sum(losses) / 2).backward()
        optimizers.step(step)
    assert torch.allclose(alone.module.weight, first["weight"], atol=1e-6)
    assert not torch.allclose(Remembering().module.weight, first["weight"], atol=1e-3)


def test_a_training_of_two_processes_leaves_what_one_leaves(config, tmp_path, monkeypatch):
    odd = tmp_path / "a#b?c %20"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))  # where the processes meet
    run(changed(config, processes=2))
    assert len(list((config.output / "shards").glob("*.parquet"))) == 2
    assert newest_state(config.output / "transformer").stem == "00000006"


def test_training_the_decoder_alone_keeps_the_codes(config):
    run(config)
    schedule = {"steps": 3, "batch": 1, "warmup": 0, "noise_until": 0.0, "spread": 0.0, "idempotence_from": 0.0}
    run(changed(config, decoder=schedule))
    before, after = weights(config.output / "tokenizer"), torch.load(newest_state(config.output / "decoder"))["module"]
    means = torch.load(newest_state(config.output / "tokenizer"))["mean"]
    moved = {name for name in before if not torch.equal(means[f"module.{name}"], after[name])}
    assert moved and all(name.startswith(("decoder.", "post_quant_conv.")) for name in moved)


def test_what_is_done_is_not_done_again(trained):
    file = newest_state(trained.output / "transformer")
    before = file.stat().st_mtime_ns
    run(trained)
    assert file.stat().st_mtime_ns == before


def test_the_transformer_learns_a_tiny_subset(config):
    """Cross entropy under 1.0 nats, mean of all tokens: uniform guessing over 12 codes is 2.48."""
    small = changed(config, transformer={"steps": 300, "batch": 8, "warmup": 5, "save_every": 300, "look_every": 300})
    work(small)
    with (small.output / "transformer" / "curve.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert float(rows[0]["mean"]) > 1.5
    assert float(rows[-1]["mean"]) < 1.0


def test_a_tenth_of_the_prompts_is_dropped_and_a_tenth_has_no_motion(config):
    run(changed(config, transformer=None))
    parts = from_scratch(config)
    task = transformer_task(config, parts, config.output / "shards")
    prompts = task.prompts(torch.zeros(20_000, dtype=torch.int64), torch.Generator().manual_seed(0))
    motion = parts.text.encode("motion", 1)[0]
    assert float((prompts == 0).all(1).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float((prompts == motion).any(1).float().mean()) == pytest.approx(0.9 * 0.9, abs=0.01)


def gate_of(config: Config):
    run(changed(config, transformer=None))
    parts = from_scratch(config)
    task = transformer_task(config, parts, config.output / "shards")
    return task.gate, parts


def test_the_gap_of_an_untrained_model_is_zero(config):
    gate, parts = gate_of(config)
    with torch.no_grad():
        figures = gate.figures(parts.transformer, Draws(0, LOOKING, 0))
    assert figures["t30_right"] == pytest.approx(np.log(12), abs=1e-4)
    assert figures["t30_direction_gap"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("said", ["direction", "colour"])
def test_the_gap_of_a_model_that_listens_is_what_the_other_caption_costs_it(config, said):
    """It is sure of the right codes under the right caption, and guesses under one with another `said`."""
    gate, _ = gate_of(config)

    class Listening:
        def __init__(self):
            self.lm_head = lambda scores: scores
            self.rotary = lambda *sizes: None

        def __call__(self, prompts, noised, rotary):
            sure = torch.nn.functional.one_hot(gate.codes, 12) * 5.0
            return torch.zeros_like(sure) if torch.equal(prompts, gate.prompts[said]) else sure

    figures = gate.figures(Listening(), Draws(0, LOOKING, 0))
    sure = np.log(1 + 11 * np.exp(-5))
    other = ({"direction", "colour"} - {said}).pop()
    for state in ("t10", "t30", "given"):
        assert figures[f"{state}_right"] == pytest.approx(sure, abs=1e-5)
        assert figures[f"{state}_{said}_gap"] == pytest.approx(np.log(12) - sure, abs=1e-4)
        assert figures[f"{state}_{other}_gap"] == pytest.approx(0, abs=1e-6)
