from pathlib import Path

import pytest
import torch

from ursa_ray.checkpoint.released import RELEASED
from ursa_ray.errors import OptionError
from ursa_ray.model.transformer import Transformer
from ursa_ray.training.config import Config

CONFIGS = Path(__file__).parents[2] / "training"


@pytest.mark.parametrize("name", ["tiny", "fine-tune-0.6b"])
def test_shipped_configurations_are_valid(name):
    Config.from_yaml(CONFIGS / f"{name}.yaml")


def test_an_unknown_key_is_refused_with_its_place(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("output: run\ntransformer: {steps: 1, batch: 1, learning_rate: 1}\n")
    with pytest.raises(OptionError, match=r"transformer\.learning_rate"):
        Config.from_yaml(file)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("checkpoint: tiny\nmodel: {width: 64, steps: 9, path: {alpha: 2.0}}", ["model.path", "model.steps"]),
        ("checkpoint: tiny\nshards: {source: clips, per_shard: 9}", ["shards.per_shard"]),
    ],
)
def test_keys_that_would_be_ignored_are_refused_by_name(tmp_path, text, named):
    file = tmp_path / "config.yaml"
    file.write_text(f"output: run\n{text}\n")
    with pytest.raises(OptionError, match=f"{', '.join(named)} would be ignored"):
        Config.from_yaml(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OptionError, match=r"nowhere\.yaml"):
        Config.from_yaml(tmp_path / "nowhere.yaml")


def test_fine_tuning_0_6b_has_the_shapes_of_its_configuration():
    config = Config.from_yaml(CONFIGS / "fine-tune-0.6b.yaml")
    assert config.checkpoint is not None and config.transformer is not None
    released, model = RELEASED[config.checkpoint], config.model
    grid = ((model.frames - 1) // 4 + 1, model.height // 8, model.width // 8)
    num_tokens = grid[0] * grid[1] * grid[2]
    with torch.device("meta"):
        transformer = Transformer(released.transformer)
        prompts = torch.empty(1, model.max_prompt_length, dtype=torch.int64)
        codes = torch.empty(1, num_tokens, dtype=torch.int64)
        # The table itself follows the device of the weights.
        rotary = transformer.rotary(model.max_prompt_length, grid)
        logits = transformer.lm_head(transformer(prompts, codes, rotary))
    assert logits.shape == (1, 17_920, 64_000)
    assert sum(value.numel() for value in transformer.parameters()) == 726_848_512
