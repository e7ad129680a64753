"""Draws by Triton kernels: on a GPU where there is one, else in Triton's interpreter, against float64 and torch."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.model.statistics import exact_step, goodness_of_fit, metric_rates
from ursa_ray.errors import OptionError
from ursa_ray.model import Ursa
from ursa_ray.model.draws import TorchDraws, choose_draws, invert
from ursa_ray.model.fsq import FiniteScalarQuantizer
from ursa_ray.model.guidance import Denoiser
from ursa_ray.model.path import MetricPath, MixturePath, time_grid
from ursa_ray.model.sampling import FastSampler

triton_draws = pytest.importorskip("ursa_ray.model.triton_draws", exc_type=ImportError)
draw_kernels = sys.modules["ursa_ray.model.draw_kernels"]

HAS_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if HAS_GPU else "cpu")
SIGNIFICANT = 1e-4
TIMES = time_grid(10, 3.0)

# Duplicates and a vector of 0 among them; codes that are no multiple of a group; as many components as there may be.
CODEBOOKS = {
    "grid": (FiniteScalarQuantizer((3, 5, 5)).codebook(), 1.0, 5.0),
    "several groups": (FiniteScalarQuantizer((8, 5, 5, 5)).codebook(), 1.0, 5.0),
    "learned": (torch.randn(300, 8, generator=torch.Generator().manual_seed(1)), 0.5, 6.0),
}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Few rows are many tiles; numpy leaves products of more rows to threads, 15 times slower on a busy machine."""
    if draw_kernels.IS_INTERPRETED:
        for tiles in (draw_kernels.HEAD, draw_kernels.WITHIN):
            monkeypatch.setitem(tiles, "block_rows", 16)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def path_over(name):
    codebook, alpha, c = CODEBOOKS[name]
    return MetricPath(codebook.to(DEVICE), alpha, c)


def some_codes(num_codes, num_rows, seed):
    return torch.randint(num_codes, (num_rows,), generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def padded(numbers, fill):
    """(n, k) on the CPU in float64 as (n, groups, 256)."""
    numbers = numbers.double().cpu()
    missing = -numbers.shape[1] % 256
    return torch.nn.functional.pad(numbers, (0, missing), value=fill).unflatten(1, (-1, 256))


def middles(weights, seed=0):
    """For every row a code that has weight, and the uniform number in the middle of what is drawn as that code."""
    weights = weights / weights.sum(1, keepdims=True)
    rng, cumulated = np.random.default_rng(seed), np.cumsum(weights, axis=1)
    # Narrower ones are moved by the rounding of float32 sums.
    codes = [rng.choice(np.flatnonzero(row > 2e-6)) for row in weights]
    rows = np.arange(len(weights))
    uniform = (cumulated[rows, codes] - weights[rows, codes] / 2) / cumulated[:, -1]
    return codes, torch.from_numpy(uniform).to(DEVICE)


class HeadDenoiser(Denoiser):
    """Hidden rows of one component, 1: the head's weight is the scores."""

    def __init__(self, row):
        self.row = row.to(DEVICE)

    @property
    def head_weight(self):
        return self.row[:, None]

    def hidden(self, codes, t, scored):
        return torch.ones(len(scored), 1, device=codes.device)

    def head(self, hidden):
        return hidden @ self.head_weight.T


def truncated(width, largest):
    """By how much a score of half precision is off on a card at most; Triton's interpreter adds in float32.

    Matrix units add 16 products at a time and cut the sum off at the bits of a float32, so that no error evens out.
    Derived, not measured.
    """
    return -(-width // 16) * largest * 2.0**-23 if HAS_GPU else 0.0


SHAPES = [(1, 256, 64), (5, 300, 40), (130, 1000, 192), (33, 257, 65), (2, 64_000, 16)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("num_rows", "num_codes", "width"), SHAPES)
def test_scores_of_groups_are_those_of_float64(num_rows, num_codes, width, dtype):
    hidden, weight = random(num_rows, width, dtype=dtype), random(num_codes, width, seed=1, dtype=dtype)
    peak, total = draw_kernels.head_groups(hidden, weight)
    scores = padded(hidden.double() @ weight.double().T, -math.inf)
    off = truncated(width, scores[scores.isfinite()].abs().amax().item()) if dtype == torch.float16 else 0.0
    torch.testing.assert_close(peak.double().cpu(), scores.amax(-1), atol=2e-5 + off, rtol=1e-6)
    expected = (scores - scores.amax(-1, keepdim=True)).exp().sum(-1)
    # An exponential turns what its score and the largest are off into shares.
    torch.testing.assert_close(total.double().cpu(), expected, atol=0, rtol=5e-5 + 2 * off)


@pytest.mark.parametrize(("num_rows", "num_codes", "width"), SHAPES)
def test_scores_within_a_group_are_those_of_float64_in_whatever_order_groups_come(num_rows, num_codes, width):
    hidden, weight = random(num_rows, width), random(num_codes, width, seed=1)
    group = some_codes(-(-num_codes // 256), num_rows, seed=2)
    scores = padded(hidden.double() @ weight.double().T, -math.inf)
    within = draw_kernels.head_within(hidden, weight, group).double().cpu()
    torch.testing.assert_close(within, scores[torch.arange(num_rows), group.cpu()], atol=2e-5, rtol=1e-6)


@pytest.mark.parametrize(("num_rows", "num_codes", "width"), SHAPES)
def test_a_score_is_drawn_by_inverting_the_cumulated_softmax(num_rows, num_codes, width):
    hidden, weight = random(num_rows, width), random(num_codes, width, seed=1) * 2 * width**-0.5
    codes, uniform = middles((hidden.double() @ weight.double().T).softmax(-1).cpu().numpy())
    assert triton_draws.draw_score(hidden, weight, uniform).tolist() == codes


def test_scores_beyond_the_range_of_fp16_are_drawn_like_any_others():
    # About 1e5 where fp16 ends at 65,504, a few units apart.
    weight = random(300, 64, seed=1, dtype=torch.float16) * 1e-2 + 40
    hidden = torch.full((20, 64), 40.0, device=DEVICE, dtype=torch.float16) + random(20, 64, dtype=torch.float16)
    scores = hidden.double() @ weight.double().T
    assert scores.min() > 1e5 - 1e4 and (hidden @ weight.T).isinf().any()
    peak, _ = draw_kernels.head_groups(hidden, weight)
    torch.testing.assert_close(peak.double().cpu(), padded(scores, -math.inf).amax(-1), atol=0, rtol=1e-6)
    codes = triton_draws.draw_score(hidden, weight, torch.full((20,), 0.5, dtype=torch.float64, device=DEVICE))
    assert (scores.amax(-1) - scores[torch.arange(20), codes] < 30).all()


def test_draws_of_scores_have_the_distribution_of_their_softmax():
    row = random(300, 1, seed=3) * 1.5
    uniform = torch.rand(2000, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).to(DEVICE)
    codes = triton_draws.draw_score(torch.ones(2000, 1, device=DEVICE), row, uniform)
    assert goodness_of_fit(codes.cpu(), row[:, 0].double().softmax(-1).cpu()) > SIGNIFICANT


@pytest.mark.parametrize("t", [0.05, 0.5, 0.97])
@pytest.mark.parametrize("name", CODEBOOKS)
def test_rates_and_their_draws_are_those_of_the_formulas(name, t):
    codebook, alpha, c = CODEBOOKS[name]
    x_t, x_1 = some_codes(len(codebook), 40, seed=5), some_codes(len(codebook), 40, seed=6)
    move = metric_rates(codebook, alpha, c, t)
    expected = np.stack([move(end)[start] for start, end in zip(x_t.tolist(), x_1.tolist(), strict=True)])
    rates = triton_draws.TritonDraws(path_over(name)).rates(x_t, x_1, t)
    torch.testing.assert_close(
        rates.sums.double().cpu(),
        padded(torch.from_numpy(expected), 0).sum(-1),
        rtol=1e-4,
        atol=1e-5 * expected.sum(1).max(),
    )
    np.testing.assert_allclose(rates.total.cpu(), expected.sum(1), rtol=1e-4, atol=1e-6 * expected.sum(1).max())
    moving = np.flatnonzero(expected.sum(1) > 1e-3 * expected.sum(1).max())
    codes, uniform = middles(expected[moving])
    assert len(moving) > 20
    assert rates.draw(torch.from_numpy(moving).to(DEVICE), uniform).tolist() == codes


def test_between_codes_of_one_direction_there_is_no_rate():
    vectors = torch.nn.functional.normalize(CODEBOOKS["several groups"][0].double(), dim=-1, eps=1e-5)
    same = ((vectors[:, None] - vectors[None]).square().sum(-1) < 1e-12).nonzero()
    x_t, x_1 = same[same[:, 0] != same[:, 1]].T.to(DEVICE)
    assert len(x_t) > 10
    draws = triton_draws.TritonDraws(path_over("several groups"))
    assert draws.rates(x_t, x_1, 0.5).total.max() < 1e-5 * draws.rates(x_t, 999 - x_1, 0.5).total.max()


def test_a_token_is_never_drawn_to_jump_to_where_it_is():
    path, x_t = path_over("several groups"), torch.arange(0, 1000, 20, device=DEVICE)
    draws, target, reach = triton_draws.TritonDraws(path), path.vectors_of(x_t), torch.full((50,), 5.0, device=DEVICE)
    # A reach as no rates have: where it is would be the likeliest of all.
    _, total, gain = draw_kernels.rate_groups(target, reach, x_t, draws.columns, 3.0)
    _, _, of_all = draw_kernels.rate_groups(target, reach, x_t * 0 - 1, draws.columns, 3.0)
    own, rows = x_t // 256, torch.arange(50, device=DEVICE)
    torch.testing.assert_close((of_all - gain)[rows, own], reach, atol=1e-3, rtol=0)
    assert (of_all - gain).count_nonzero() == 50 and total.min() > 0
    rates = triton_draws.TritonRates(draws, x_t, target, reach, 3.0, torch.eye(4, device=DEVICE)[own])
    for uniform in torch.linspace(0, 1 - 2**-52, 100, dtype=torch.float64):
        assert (rates.draw(rows, uniform.expand(50).to(DEVICE)) != x_t).all()


def test_a_group_that_has_weight_by_rounding_alone_gives_its_nearest_code():
    draws, rows = triton_draws.TritonDraws(path_over("several groups")), torch.arange(4, device=DEVICE)
    # Nothing is nearer than a reach of 0, yet each row's group has a sum.
    target, sums = draws.path.vectors_of(rows + 500), torch.eye(4, device=DEVICE)
    rates = triton_draws.TritonRates(draws, rows, target, torch.zeros(4, device=DEVICE), 1e4, sums)
    uniform = torch.full((4,), 0.5, dtype=torch.float64, device=DEVICE)
    distances = padded(draws.path.distances(rows + 500), math.inf)
    distances[rows.cpu(), 0, rows.cpu()] = math.inf  # its own code
    drawn = distances.flatten(1)[rows.cpu(), rates.draw(rows, uniform).cpu()]
    torch.testing.assert_close(drawn, distances[rows.cpu(), rows.cpu()].amin(-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("step", [1, 5, 9])
def test_a_step_has_the_exact_distribution(step):
    codebook, alpha, c = CODEBOOKS["grid"]
    path, row = path_over("grid"), random(75, seed=2) * 1.5
    sampler = FastSampler(path, TIMES, 0, DEVICE, triton_draws.TritonDraws(path))
    codes = sampler.step(torch.full((2000,), 37, device=DEVICE), step, HeadDenoiser(row))
    logits = row.double().cpu().numpy()
    if step == len(TIMES) - 1:
        expected = np.exp(logits)
    else:
        move = metric_rates(codebook, alpha, c, TIMES[step])
        expected = exact_step(logits, move, TIMES[step + 1] - TIMES[step])[37]
    assert goodness_of_fit(codes.cpu(), expected) > SIGNIFICANT


def test_both_implementations_draw_the_same_codes_but_for_rounding():
    path, row = path_over("several groups"), random(1000, seed=2) * 1.5
    codes = some_codes(1000, 400, seed=7)
    for step in (5, 9):
        by_torch, by_triton = (
            FastSampler(path, TIMES, 0, DEVICE, draws(path)).step(codes, step, HeadDenoiser(row))
            for draws in (TorchDraws, triton_draws.TritonDraws)
        )
        assert (by_torch != codes).sum() > 100
        # That a number falls between two roundings, about 1e-6 apart, has a chance of some 1e-3 for 400 tokens.
        assert (by_torch != by_triton).sum() <= 1


def test_no_rows_give_no_codes():
    draws = triton_draws.TritonDraws(path_over("grid"))
    none = torch.zeros(0, dtype=torch.int64, device=DEVICE)
    rates = draws.rates(none, none, 0.5)
    assert rates.total.shape == rates.draw(none, none.double()).shape == (0,)
    assert triton_draws.draw_score(random(0, 64), random(300, 64), none.double()).shape == (0,)


def test_rows_without_any_weight_give_a_code_that_there_is():
    draws, rows = triton_draws.TritonDraws(path_over("learned")), torch.arange(3, device=DEVICE)
    assert draws.path.num_codes % 256  # the last group is short
    target, none = draws.path.vectors_of(rows), torch.zeros(3, 2, device=DEVICE)
    rates = triton_draws.TritonRates(draws, rows, target, torch.zeros(3, device=DEVICE), 1.0, none)
    for uniform in (0.0, 0.5, 1 - 2**-52):
        codes = rates.draw(rows, torch.full((3,), uniform, dtype=torch.float64, device=DEVICE))
        assert ((codes >= 0) & (codes < draws.path.num_codes)).all()


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-52])
def test_a_row_without_any_weight_is_drawn_in_its_first_place_which_also_the_shortest_group_has(uniform):
    found, rest = invert(torch.zeros(1, 256), torch.tensor([uniform], dtype=torch.float64))
    assert (found.item(), rest.item()) == (0, 0.0)


def test_memory_for_a_row_does_not_grow_with_single_codes():
    path = path_over("several groups")
    assert triton_draws.TritonDraws(path).num_kept < TorchDraws(path).num_kept / 20


def test_a_generation_is_that_of_torch(random_checkpoint):
    options = {"seed": 1, "num_inference_steps": 3, "num_frames": 5}
    codes = {}
    for draws in ("torch", "triton"):
        ursa = Ursa.from_pretrained(str(random_checkpoint), DEVICE, torch.float32, draws=draws)
        assert ursa.backends.draws == draws
        codes[draws] = ursa.generate("a red square", **options)
    assert codes["torch"].unique().numel() > 50
    assert (codes["torch"] != codes["triton"]).sum() <= 1


def test_what_triton_cannot_draw_is_refused_with_the_reason():
    weight = random(64, 8)
    wide = MetricPath(random(64, 9), 1.0, 5.0)
    for path, reason in ((MixturePath(64), "metric path alone"), (wide, "9 components, it takes 8 at most")):
        with pytest.raises(OptionError, match=f"draws is 'triton'.*{reason}.*Leave it out, or give torch"):
            choose_draws(path, weight, "triton")
        assert choose_draws(path, weight) == "torch"
    with pytest.raises(OptionError, match="draws is 'dice', expected torch or triton"):
        choose_draws(wide, weight, "dice")


def test_triton_is_chosen_on_a_gpu_and_torch_on_a_cpu():
    assert choose_draws(path_over("grid"), random(75, 8)) == ("triton" if HAS_GPU else "torch")
    assert choose_draws(path_over("grid"), random(75, 8), "triton") == "triton"
    assert choose_draws(path_over("grid"), random(75, 8), "torch") == "torch"


def test_kernels_that_compute_wrongly_here_are_not_used(monkeypatch):
    # A card or compiler that gives other numbers than they should be.
    monkeypatch.setattr(triton_draws, "head_within", lambda hidden, weight, group: hidden.new_zeros(len(hidden), 256))
    with pytest.raises(OptionError, match="its scores are wrong"):
        choose_draws(path_over("learned"), random(300, 8), "triton")


def test_kernels_compile_for_cards_that_are_not_here():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.model.compiled_kernels"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert found.returncode == 0, found.stderr
    kernels = json.loads(found.stdout)
    # KB of shared memory that a block may have (CUDA programming guide, compute capabilities).
    limits = {89: 99, 90: 227}
    assert {(kernel["name"], kernel["capability"]) for kernel in kernels} == {
        (name, capability) for name in ("head_groups", "head_within", "rate_groups") for capability in limits
    }
    for kernel in kernels:
        assert kernel["shared_bytes"] <= limits[kernel["capability"]] * 1024, kernel
        assert kernel["stack_bytes"] == 0, f"registers are spilled: {kernel}"
        uses_wgmma = kernel["capability"] == 90 and "head" in kernel["name"]
        assert (kernel["num_wgmma"] > 0) == uses_wgmma, kernel


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="no GPU here")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_released_sizes_are_drawn_as_float64_says(dtype):
    hidden, weight = random(1000, 2048, dtype=dtype), random(64_000, 2048, seed=1, dtype=dtype) * 0.05
    scores = hidden.double() @ weight.double().T
    weights, off = scores.softmax(-1), truncated(2048, scores.abs().amax().item())
    uniform = torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).to(DEVICE)
    codes = triton_draws.draw_score(hidden, weight, uniform)[:, None]
    end = weights.cumsum(-1).gather(1, codes)
    # Off by as much, weights move their sums by that share of them at most.
    assert ((end - weights.gather(1, codes) - 2 * off <= uniform[:, None]) & (uniform[:, None] <= end + 2 * off)).all()


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="no GPU here")
def test_two_prompts_of_a_clip_are_drawn_without_their_scores():
    hidden, weight = random(33_280, 2048, dtype=torch.float16), random(64_000, 2048, seed=1, dtype=torch.float16)
    uniform = torch.full((33_280,), 0.5, dtype=torch.float64, device=DEVICE)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    codes = triton_draws.draw_score(hidden, weight, uniform)
    # 33,280 x 64,000 scores in fp16 alone are 4.3 GB.
    assert torch.cuda.max_memory_allocated() - before < 1e9
    last = (hidden[-8:].double() @ weight.double().T).softmax(-1).cumsum(-1)
    assert codes[-8:].tolist() == torch.searchsorted(last, uniform[-8:, None]).squeeze(1).tolist()
