"""The sizes that `bench_gpu.py` measures, and the least work that their steps are."""

from dataclasses import asdict, dataclass
from typing import Any

from ursa_ray.checkpoint.config import PathConfig, TransformerConfig, VideoTokenizerConfig
from ursa_ray.checkpoint.released import FSQ320, RELEASED

LARGE, LITTLE = (RELEASED[f"BAAI/URSA-{name}-FSQ320"] for name in ("1.7B", "0.6B"))


@dataclass(frozen=True)
class Size:
    """A network and a segment.

    Attributes:
        num_text: text tokens, without begin-of-visual.
        steps: those that are timed, of a schedule of `num_steps`.
    """

    name: str
    transformer: TransformerConfig
    tokenizer: VideoTokenizerConfig = FSQ320
    path: PathConfig = LARGE.path
    num_frames: int = 49
    height: int = 320
    width: int = 512
    num_text: int = 320
    # Evenly spread, without the first and the last step, which are those that we save most on.
    steps: tuple[int, ...] = (8, 25, 41)
    num_steps: int = 50
    guidance_scale: float = 7.0
    guidance_trunc: float = 0.9

    @property
    def grid(self) -> tuple[int, int, int]:
        stride = self.tokenizer.spatial_stride
        return (self.num_frames - 1) // self.tokenizer.temporal_stride + 1, self.height // stride, self.width // stride

    @property
    def num_visual(self) -> int:
        t, h, w = self.grid
        return t * h * w

    @property
    def num_positions(self) -> int:
        return self.num_text + 1 + self.num_visual

    @property
    def attention_flops(self) -> float:
        """Of one layer, both branches."""
        config = self.transformer
        return 2 * 4.0 * config.num_attention_heads * config.head_dim * self.num_positions**2

    @property
    def minimum_flops(self) -> float:
        """The least that a step of two branches needs.

        The head scores guided rows alone, and layer 0, where both branches have the same visual rows, attends from
        image to image once.
        """
        config, layers = self.transformer, self.transformer.num_hidden_layers
        heads = 2 * (config.num_attention_heads + config.num_key_value_heads) * config.head_dim
        weights = config.hidden_size * (heads + 3 * config.intermediate_size)
        linear = 2 * 2.0 * layers * weights * self.num_positions
        head = 2.0 * config.hidden_size * config.lm_head_size * self.num_visual
        shared = self.attention_flops / 2 * (self.num_visual / self.num_positions) ** 2
        return linear + layers * self.attention_flops + head - shared

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"grid": self.grid}


# Small enough for a CPU, to try the script with.
SMALL = Size(
    "small",
    TransformerConfig(
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=500 + 2560,
        lm_vocab_size=500,
        lm_head_size=2560,
        bov_token_id=1,
    ),
    VideoTokenizerConfig(
        block_out_channels=(16, 16, 32, 32), latent_channels=16, patch_size=2, sample_frames=9, levels=(8, 8, 8, 5)
    ),
    num_frames=9,
    height=64,
    width=64,
    num_text=32,
)

SIZES = {
    "1.7B": Size("1.7B", LARGE.transformer),
    "0.6B": Size("0.6B", LITTLE.transformer),
    "small": SMALL,
}
