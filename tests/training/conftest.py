import pytest
import torch

from ursa_ray.training.config import Config


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums of several threads are not the same from run to run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(tmp_path) -> Config:
    """A whole training of a few seconds, on clips of 24x32 px and 9 frames."""
    return Config.model_validate(
        {
            "output": tmp_path / "run",
            "seed": 3,
            "model": {
                "width": 32,
                "height": 24,
                "frames": 9,
                "overlap": 5,
                "steps": 4,
                "max_prompt_length": 24,
                "tokenizer": {
                    "block_out_channels": [8, 8, 8, 8],
                    "layers_per_block": 1,
                    "latent_channels": 8,
                    "patch_size": 2,
                    "sample_frames": 9,
                    "levels": [4, 3],
                },
                "transformer": {
                    "hidden_size": 32,
                    "intermediate_size": 64,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 2,
                    "num_key_value_heads": 2,
                    "head_dim": 16,
                    "rope_theta": 100.0,
                },
            },
            "shards": {"clips": 24, "per_shard": 12},
            "tokenizer": {"steps": 4, "batch": 2, "save_every": 2, "look_every": 4, "log_every": 2, "warmup": 1},
            "transformer": {"steps": 6, "batch": 4, "save_every": 3, "look_every": 6, "log_every": 2, "warmup": 1},
        }
    )
