"""What a segment costs, counted in FLOPs from the sizes of the network."""

from ursa_ray.checkpoint import Checkpoint
from ursa_ray.checkpoint.config import TransformerConfig

# A prediction for one H200: a step of the 1.7B model is 725 TFLOP and takes 1.10 to 1.17 s at the rates of its
# matrix units and of the best published attention kernels. Not measured with this code.
H200_FLOPS_PER_S = 640e12

# Dense float16 rates of the data sheets (SXM where there are several), none of them measured.
PEAK_FLOPS_PER_S = {"h200": 989e12, "h100": 989e12, "a100": 312e12, "l40s": 362e12}

# Of every other GPU the same share of its peak is expected as of an H200: 65 %. Attention kernels as good are known for
# an H100 alone, and a card of 350 W may slow down, so for an A100 and an L40S this is the best case.
GPU_FLOPS_PER_S = {kind: peak * H200_FLOPS_PER_S / PEAK_FLOPS_PER_S["h200"] for kind, peak in PEAK_FLOPS_PER_S.items()}


def segment_flops(
    checkpoint: Checkpoint,
    grid: tuple[int, int, int],
    num_steps: int,
    num_branches: int,
    max_prompt_length: int,
) -> float:
    """FLOPs of a segment's denoising; step 0 cannot change a code and is skipped."""
    num_visual = grid[0] * grid[1] * grid[2]
    branch = forward_flops(checkpoint.transformer, max_prompt_length + 1 + num_visual)
    head = 2.0 * checkpoint.transformer.lm_head_size * checkpoint.transformer.hidden_size * num_visual
    return max(num_steps - 1, 1) * (num_branches * branch + head)


def forward_flops(config: TransformerConfig, num_positions: int) -> float:
    """One pass through the layers: multiply-adds of the linear layers and of full attention."""
    q_width = config.num_attention_heads * config.head_dim
    kv_width = config.num_key_value_heads * config.head_dim
    attention = config.hidden_size * 2 * (q_width + kv_width)
    feed_forward = 3 * config.hidden_size * config.intermediate_size
    linear = 2.0 * (attention + feed_forward) * num_positions
    return config.num_hidden_layers * (linear + 4.0 * q_width * num_positions**2)
