"""The URSA transformer: a dense Qwen3 decoder with full attention that scores every visual token at once.

One sequence is [text, begin-of-visual, visual tokens]. Nothing is masked, not even padding, and there is no time input.
As in a language model the row at position i scores the token at i + 1, so visual tokens are scored by the rows that
start at begin-of-visual and leave out the last one. Of the last layer, which nothing attends to, only rows that are
asked for are computed, though their keys and values are those of all. Module names are those of the published weights.
"""

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ursa_ray.checkpoint.config import TransformerConfig
from ursa_ray.model.backends import Backends
from ursa_ray.model.products import attend, by_rows, linear
from ursa_ray.model.rotary import rotary_table, rotate, sequence_positions

# Which rows of a sequence: a slice, or their places; None for all. Not slice(None): a compiler makes another object of
# every slice, so that nothing could tell it from the others.
Rows = slice | Int64[Tensor, " rows"] | None


class Linear(nn.Linear):
    """Without bias, by `products.linear`."""

    def __init__(self, num_in: int, num_out: int):
        super().__init__(num_in, num_out, bias=False)

    def forward(self, input: Float[Tensor, "*rows num_in"]) -> Float[Tensor, "*rows num_out"]:  # noqa: A002
        return linear(input, self.weight)


def joined(*layers: Linear) -> Float[Tensor, "out d"]:
    """Weights of several layers, one below the other; the layers keep theirs, by their names, as views of it."""
    weights = torch.cat([layer.weight for layer in layers])
    parts = weights.split([layer.out_features for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.weight = nn.Parameter(part, requires_grad=False)
    return weights


def chosen(x: Float[Tensor, "b n d"], rows: Rows) -> Float[Tensor, "b rows d"]:
    return x if rows is None else x[:, rows]


class Attention(nn.Module):
    """Grouped-query attention over the whole sequence, queries and keys normalised per head before rotation."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        d, head_dim = config.hidden_size, config.head_dim
        self.head_dim = head_dim
        self.kernel: str | None = None
        self.fused: Tensor | None = None
        self.q_proj = Linear(d, config.num_attention_heads * head_dim)
        self.k_proj = Linear(d, config.num_key_value_heads * head_dim)
        self.v_proj = Linear(d, config.num_key_value_heads * head_dim)
        self.o_proj = Linear(config.num_attention_heads * head_dim, d)
        self.q_norm = nn.RMSNorm(head_dim, eps=config.rms_norm_eps)
        self.k_norm = nn.RMSNorm(head_dim, eps=config.rms_norm_eps)
        # Where devices share the positions of a sequence: keys and values of some to those of all (`model/member`).
        self.gather: Callable[[Tensor, Tensor], Tensor] | None = None

    def forward(
        self, x: Float[Tensor, "b n d"], rotary: Float[Tensor, "2 n pairs"], rows: Rows
    ) -> Float[Tensor, "b rows d"]:
        # Heads stay behind positions: kernels take them so, and give them back so, without a copy.
        q, k, v = (projected.unflatten(-1, (-1, self.head_dim)) for projected in self._projected(x, rows))
        q, k = rotate(self.q_norm(q), chosen(rotary, rows)), rotate(self.k_norm(k), rotary)
        if self.gather is not None:
            k, v = self.gather(k, v)
        attended = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), self.kernel)
        return self.o_proj(rearrange(attended, "b heads n d -> b n (heads d)"))

    def compute_with(self, backends: Backends) -> None:
        self.kernel = backends.attention
        self.fused = joined(self.q_proj, self.k_proj, self.v_proj) if backends.fused else None

    def _projected(self, x: Float[Tensor, "b n d"], rows: Rows) -> tuple[Float[Tensor, "b ..."], ...]:
        """Queries of some rows, keys and values of all."""
        layers = self.q_proj, self.k_proj, self.v_proj
        if self.fused is None or rows is not None:
            queries, *others = layers
            return queries(chosen(x, rows)), *(layer(x) for layer in others)
        return linear(x, self.fused).split([layer.out_features for layer in layers], dim=-1)


class FeedForward(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.gate_proj = Linear(config.hidden_size, config.intermediate_size)
        self.up_proj = Linear(config.hidden_size, config.intermediate_size)
        self.down_proj = Linear(config.intermediate_size, config.hidden_size)
        self.fused: Tensor | None = None

    def compute_with(self, backends: Backends) -> None:
        self.fused = joined(self.gate_proj, self.up_proj) if backends.fused else None

    def forward(self, x: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
        gate, up = (self.gate_proj(x), self.up_proj(x)) if self.fused is None else linear(x, self.fused).chunk(2, -1)
        # The published kernel multiplies in float32 and rounds once.
        return self.down_proj((F.silu(gate.float()) * up.float()).to(x.dtype))


class Block(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = FeedForward(config)

    def forward(
        self, x: Float[Tensor, "b n d"], rotary: Float[Tensor, "2 n pairs"], rows: Rows = None
    ) -> Float[Tensor, "b rows d"]:
        x = chosen(x, rows) + self.self_attn(self.input_layernorm(x), rotary, rows)
        return by_rows(self._feed_forward, x)

    def _feed_forward(self, x: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
        return x + self.mlp(self.post_attention_layernorm(x))


# Two for every size of a film, one for each number of branches. Beyond it nothing goes on uncompiled, as torch would
# after 8: a replica would round otherwise than its like, depending on what it made before.
MAX_COMPILED = 128


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """For sizes as they come, so anew for other ones.

    Raises:
        FailOnRecompileLimitHit: torch's, when called for more than `MAX_COMPILED` sizes.
    """
    torch._dynamo.config.recompile_limit, torch._dynamo.config.fail_on_recompile_limit_hit = MAX_COMPILED, True
    # Else kernels are chosen by timing them, and two replicas on one kind of device may round differently.
    options: dict[str, Any] | None = (
        {"deterministic": True} if "deterministic" in torch._inductor.list_options() else None
    )
    return torch.compile(function, dynamic=False, options=options)


class Body(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.block: Callable[..., Tensor] = Block.__call__

    def compute_with(self, backends: Backends) -> None:
        # Not the last layer: the number of its rows is another one in most steps.
        self.block = compiled(Block.forward) if backends.compile else Block.__call__

    def trunk(self, ids: Int64[Tensor, "b n"], rotary: Float[Tensor, "2 n pairs"]) -> Float[Tensor, "b n d"]:
        """All layers but the last."""
        x = self.embed_tokens(ids)
        for layer in self.layers[:-1]:
            x = self.block(layer, x, rotary)
        return x

    def top(
        self, trunk: Float[Tensor, "b n d"], rotary: Float[Tensor, "2 n pairs"], rows: Rows
    ) -> Float[Tensor, "b rows d"]:
        return self.norm(self.layers[-1](trunk, rotary, rows))


class Transformer(nn.Module):
    """Codes and prompts in, one hidden row for every visual token out; `lm_head` turns rows into logits."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.config = config
        self.model = Body(config)
        self.lm_head = Linear(config.hidden_size, config.lm_head_size)
        self.backends: Backends | None = None

    def compute_with(self, backends: Backends) -> None:
        """Have its weights, which are loaded and on their device, computed with so from now on; without gradients."""
        self.backends = backends
        for module in self.modules():
            if isinstance(module, Attention | FeedForward | Body):
                module.compute_with(backends)

    def rotary(self, num_text: int, grid: tuple[int, int, int]) -> Float[Tensor, "2 n pairs"]:
        """Rotary table of a sequence; the same for all steps of a generation."""
        positions = sequence_positions(num_text, grid, self.lm_head.weight.device)
        return rotary_table(positions, self.config.head_dim, self.config.rope_theta)

    def forward(
        self,
        prompts: Int64[Tensor, "b p"],
        codes: Int64[Tensor, "... tokens"],
        rotary: Float[Tensor, "2 n pairs"],
        scored: Int64[Tensor, " scored"] | None = None,
    ) -> Float[Tensor, "b scored d"]:
        """Hidden rows that score `codes`: those of each prompt, (b, tokens), or (tokens,) that all prompts share.

        `scored` are the tokens whose rows are wanted; all of them if None.
        """
        return self.top(self.trunk(prompts, codes, rotary), prompts.shape[1], rotary, scored)

    def trunk(
        self, prompts: Int64[Tensor, "b p"], codes: Int64[Tensor, "... tokens"], rotary: Float[Tensor, "2 n pairs"]
    ) -> Float[Tensor, "b n d"]:
        """What `top` makes rows of, as often as is wanted."""
        return self.model.trunk(self.sequence(prompts, codes), rotary)

    def top(
        self,
        trunk: Float[Tensor, "b n d"],
        num_text: int,
        rotary: Float[Tensor, "2 n pairs"],
        scored: Int64[Tensor, " scored"] | None = None,
    ) -> Float[Tensor, "b scored d"]:
        rows = slice(num_text, trunk.shape[1] - 1) if scored is None else scored + num_text
        return self.model.top(trunk, rotary, rows)

    def sequence(self, prompts: Int64[Tensor, "b p"], codes: Int64[Tensor, "... tokens"]) -> Int64[Tensor, "b n"]:
        """Ids of [text, begin-of-visual, visual tokens]."""
        visual = (codes + self.config.lm_vocab_size).expand(len(prompts), -1)
        begin = visual.new_full((len(prompts), 1), self.config.bov_token_id)
        return torch.cat([prompts, begin, visual], dim=1)
