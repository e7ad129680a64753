"""Both samplers have one distribution: whole rows of a step, against its exact transition matrix."""

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.networks import network
from tests.model.statistics import exact_step, goodness_of_fit, homogeneity, metric_rates, mixture_rates
from ursa_ray.errors import OutputError
from ursa_ray.model import Backends, sampling
from ursa_ray.model.fsq import FiniteScalarQuantizer
from ursa_ray.model.guidance import Denoiser, Guidance
from ursa_ray.model.path import MetricPath, MixturePath, time_grid
from ursa_ray.model.sampling import FastSampler, PublishedSampler, draw

CPU = torch.device("cpu")
NUM_TOKENS = 30_000
SIGNIFICANT = 1e-4

# Ten steps: the first that moves, one in the middle, the last two.
TIMES = time_grid(10, 3.0)
STEPS = [1, 5, 8, 9]


class FixedDenoiser(Denoiser):
    """The same scores for every token, whatever the codes and the time."""

    def __init__(self, row):
        self.row = row

    def logits(self, codes, t):
        return self.row.expand(len(codes), -1)

    def hidden(self, codes, t, scored):
        return self.logits(codes[scored], t)

    def head(self, hidden):
        return hidden


class ScaledPath(MetricPath):
    """Wrong on purpose: all rates too large by one factor."""

    factor = 1.0

    def rates(self, x_t, x_1, t):
        return super().rates(x_t, x_1, t) * self.factor


class TightPath(MetricPath):
    """Wrong on purpose: bounds below what rates reach."""

    of_any = of_pair = 1.0

    def max_rate(self, t):
        return super().max_rate(t) * self.of_any

    def max_rates(self, x_t, x_1, t):
        return super().max_rates(x_t, x_1, t) * self.of_pair


class LoosePath(MetricPath):
    """No token is known to stay."""

    def max_rate(self, t):
        return math.inf

    def max_rates(self, x_t, x_1, t):
        return torch.full((len(x_t),), math.inf)


class CountingDenoiser(FixedDenoiser):
    num_scored = 0

    def hidden(self, codes, t, scored):
        self.num_scored += len(scored)
        return super().hidden(codes, t, scored)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def learned_codebook():
    """64 codes like those of the image tokenizer: all distances differ."""
    return torch.randn(64, 8, generator=seeded(1))


def grid_codebook():
    """75 codes like those of the video tokenizer: many distances are equal, one vector is 0, some are parallel."""
    return FiniteScalarQuantizer((3, 5, 5)).codebook()


CODEBOOKS = {"learned": learned_codebook(), "grid": grid_codebook()}
# alpha and c as published for the tokenizer of that kind.
PATHS = {"learned": (0.5, 6.0), "grid": (1.0, 5.0)}


def scores(num_codes):
    return torch.randn(num_codes, generator=seeded(2)) * 1.5


def metric_path(kind, of=MetricPath):
    return of(CODEBOOKS[kind], *PATHS[kind])


@cache
def exact_row(kind, step, code):
    """Distribution of the code after `step`, float64, from the written formulas."""
    logits = scores(len(CODEBOOKS[kind])).double().numpy()
    if step == len(TIMES) - 1:
        return np.exp(logits) / np.exp(logits).sum()
    move = metric_rates(CODEBOOKS[kind], *PATHS[kind], TIMES[step])
    return exact_step(logits, move, TIMES[step + 1] - TIMES[step])[code]


def samplers(path, seed=0):
    return {
        "fast": FastSampler(path, TIMES, seed, CPU),
        "published": PublishedSampler(path, TIMES, seeded(seed)),
    }


def after_step(sampler, step, code, num_tokens=NUM_TOKENS):
    denoiser = FixedDenoiser(scores(sampler.path.num_codes))
    return sampler.step(torch.full((num_tokens,), code), step, denoiser)


@pytest.mark.parametrize("code", [0, 37])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("sampler", ["fast", "published"])
@pytest.mark.parametrize("kind", ["learned", "grid"])
def test_a_step_has_the_exact_distribution(kind, sampler, step, code):
    codes = after_step(samplers(metric_path(kind))[sampler], step, code)
    assert goodness_of_fit(codes, exact_row(kind, step, code)) > SIGNIFICANT


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", ["learned", "grid"])
def test_both_samplers_draw_from_one_distribution(kind, step):
    both = samplers(metric_path(kind), seed=1)
    fast, published = (after_step(sampler, step, code=20) for sampler in both.values())
    assert homogeneity(fast, published, len(CODEBOOKS[kind])) > SIGNIFICANT


@pytest.mark.parametrize("step", [1, 5, 8])
def test_a_step_over_a_thousand_codes_has_the_exact_distribution(step):
    codebook = FiniteScalarQuantizer((8, 5, 5, 5)).codebook()
    path = MetricPath(codebook, 1.0, 5.0)
    logits = scores(1000)
    # One row needs one column of the rates: those from code 4.
    rows = metric_rates_from(codebook, 4, TIMES[step])
    p_x_1 = logits.double().softmax(-1).numpy()
    total = rows.sum(1)
    jump = 1 - np.exp(-(TIMES[step + 1] - TIMES[step]) * total)
    expected = (p_x_1 * jump / np.where(total > 0, total, 1)) @ rows
    expected[4] = 1 - expected.sum()
    assert goodness_of_fit(after_step(FastSampler(path, TIMES, 3, CPU), step, 4, 10_000), expected) > SIGNIFICANT


def metric_rates_from(codebook, code, t):
    """Rates from one code under every x_1 (rows) to every code (columns), alpha 1 and c 5."""
    vectors = codebook.double().numpy()
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-5)
    distances = ((vectors[:, None] - vectors[None]) ** 2).sum(-1)
    p = np.exp(-5 * t / (1 - t) * distances)
    p /= p.sum(1, keepdims=True)
    return p * 5 / (1 - t) ** 2 * np.maximum(0, distances[:, [code]] - distances)


@pytest.mark.parametrize("factor", [1.15, 1e9], ids=["15 percent too fast", "every possible jump is made"])
@pytest.mark.parametrize("sampler", ["fast", "published"])
def test_the_distribution_test_notices_a_wrong_sampler(sampler, factor):
    path = metric_path("learned", ScaledPath)
    path.factor = factor
    codes = after_step(samplers(path)[sampler], 5, code=37)
    assert goodness_of_fit(codes, exact_row("learned", 5, 37)) < SIGNIFICANT / 100
    right = after_step(samplers(metric_path("learned"), seed=1)["published"], 5, code=37)
    assert homogeneity(codes, right, 64) < SIGNIFICANT


@pytest.mark.parametrize("step", [1, 5, 8])
@pytest.mark.parametrize("kind", ["learned", "grid"])
def test_half_a_million_draws_have_the_exact_distribution(kind, step):
    codes = after_step(FastSampler(metric_path(kind), TIMES, 4, CPU), step, code=37, num_tokens=500_000)
    assert goodness_of_fit(codes, exact_row(kind, step, 37)) > SIGNIFICANT


@pytest.mark.parametrize("bound", ["of_any", "of_pair"])
def test_the_distribution_test_notices_a_bound_that_rates_exceed(bound):
    path = metric_path("learned", TightPath)
    setattr(path, bound, 0.25)
    codes = after_step(FastSampler(path, TIMES, 0, CPU), 5, code=37)
    assert goodness_of_fit(codes, exact_row("learned", 5, 37)) < SIGNIFICANT / 100


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", ["learned", "grid"])
def test_codes_are_those_of_computing_every_token(kind, step):
    every = FastSampler(metric_path(kind, LoosePath), TIMES, 0, CPU)
    assert torch.equal(after_step(FastSampler(metric_path(kind), TIMES, 0, CPU), step, 20), after_step(every, step, 20))


@pytest.mark.parametrize(("shift", "share"), [(1.0, 0.727), (3.0, 0.499), (5.0, 0.405)])
def test_only_tokens_that_may_jump_are_scored(shift, share):
    times = time_grid(50, shift)
    sampler, denoiser = FastSampler(metric_path("grid"), times, 0, CPU), CountingDenoiser(scores(75))
    for step in range(49):
        sampler.step(torch.zeros(2000, dtype=torch.int64), step, denoiser)
    # The mean over all steps but the last of 1 - exp(-4 dt slope of beta), alpha 1 and c 5, computed apart; filled up
    # to a multiple of a 16th of all.
    assert share - 0.01 < denoiser.num_scored / 2000 / 49 < share + 1 / 16


def test_nothing_is_scored_when_every_token_is_sure_to_stay():
    codes = torch.zeros(5, dtype=torch.int64)
    denoiser, sampler = CountingDenoiser(scores(64)), FastSampler(metric_path("learned"), [0.0, 1e-9, 2e-9], 0, CPU)
    assert torch.equal(sampler.step(codes, 1, denoiser), codes)
    assert denoiser.num_scored == 0


def test_the_distribution_test_notices_that_the_target_is_drawn_uniformly():
    wrong = after_step(FastSampler(MixturePath(64), TIMES, 0, CPU), 5, code=37)
    assert goodness_of_fit(wrong, exact_row("learned", 5, 37)) < SIGNIFICANT / 100


@pytest.mark.parametrize("sampler", ["fast", "published"])
@pytest.mark.parametrize("kind", ["learned", "mixture"])
def test_codes_before_the_last_step_have_the_distribution_of_the_whole_chain(kind, sampler):
    path = MixturePath(64) if kind == "mixture" else metric_path(kind)
    logits = scores(64)
    times = time_grid(4, 3.0)
    chain = np.full(64, 1 / 64)
    for t, next_t in pairwise(times):
        move = mixture_rates(64, t) if kind == "mixture" else metric_rates(CODEBOOKS[kind], *PATHS[kind], t)
        chain = chain @ exact_step(logits, move, next_t - t)
    drawn = {
        "fast": FastSampler(path, times, 5, CPU),
        "published": PublishedSampler(path, times, seeded(5)),
    }[sampler]
    codes = drawn.start(NUM_TOKENS)
    for step in range(3):
        codes = drawn.step(codes, step, FixedDenoiser(logits))
    assert goodness_of_fit(codes, chain) > SIGNIFICANT


@pytest.mark.parametrize("sampler", ["fast", "published"])
def test_step_0_moves_codes_on_the_mixture_path_alone(sampler):
    codes = torch.arange(64)
    for path, moves in ((metric_path("learned"), False), (MixturePath(64), True)):
        after = samplers(path)[sampler].step(codes, 0, FixedDenoiser(scores(64)))
        assert torch.equal(after, codes) != moves


@pytest.mark.parametrize("sampler", ["fast", "published"])
def test_a_single_step_draws_from_the_scores(sampler):
    path = metric_path("learned")
    drawn = {"fast": FastSampler(path, [0.0], 0, CPU), "published": PublishedSampler(path, [0.0], seeded(0))}[sampler]
    codes = drawn.step(torch.zeros(NUM_TOKENS, dtype=torch.int64), 0, FixedDenoiser(scores(64)))
    assert goodness_of_fit(codes, scores(64).double().softmax(-1)) > SIGNIFICANT


@pytest.mark.parametrize("sampler", ["fast", "published"])
@pytest.mark.parametrize("num_codes", [64, 1000])
def test_start_codes_are_uniform(sampler, num_codes):
    codes = samplers(MixturePath(num_codes))[sampler].start(NUM_TOKENS)
    assert goodness_of_fit(codes, np.ones(num_codes)) > SIGNIFICANT


@pytest.mark.parametrize("sampler", ["fast", "published"])
@pytest.mark.parametrize("kind", ["learned", "grid", "mixture"])
def test_a_condition_is_taken_back_along_the_path(kind, sampler):
    path = MixturePath(64) if kind == "mixture" else metric_path(kind)
    codes = samplers(path, seed=2)[sampler].noise(torch.full((NUM_TOKENS,), 9), 0.7)
    if kind == "mixture":
        expected = np.full(64, 0.3 / 64)
        expected[9] += 0.7
    else:
        alpha, c = PATHS[kind]
        vectors = CODEBOOKS[kind].double()
        vectors /= vectors.norm(dim=1, keepdim=True).clamp(min=1e-5)
        expected = torch.softmax(-c * (0.7 / 0.3) ** alpha * (vectors - vectors[9]).square().sum(1), -1)
    assert goodness_of_fit(codes, expected) > SIGNIFICANT


def test_every_step_and_every_seed_has_its_own_draws():
    path = metric_path("learned")
    seeds = [0, 1, 2**63, 2**63 + 1, 2**64 - 1]
    drawn = [after_step(FastSampler(path, TIMES, seed, CPU), step, 3, 200) for seed in seeds for step in (3, 4)]
    drawn += [FastSampler(path, TIMES, seed, CPU).start(200) for seed in seeds]
    assert len({tuple(codes.tolist()) for codes in drawn}) == len(drawn)


def test_the_same_seed_draws_the_same_codes_whatever_was_drawn_before():
    sampler = FastSampler(metric_path("learned"), TIMES, 7, CPU)
    first = after_step(sampler, 4, 3, 500)
    sampler.start(17)
    after_step(sampler, 2, 3, 99)
    assert torch.equal(after_step(sampler, 4, 3, 500), first)


@pytest.mark.parametrize("block", [1, 64 * 7, 64 * 500])
def test_the_size_of_blocks_does_not_change_codes(monkeypatch, block):
    sampler = FastSampler(metric_path("learned"), TIMES, 0, CPU)
    start, stepped = torch.arange(64).repeat(8), {}
    for size in (2**25, block):
        monkeypatch.setattr(sampling, "MAX_BLOCK_ON_CPU", size)
        stepped[size] = torch.stack(
            [sampler.noise(start, 0.5)] + [sampler.step(start, step, FixedDenoiser(scores(64))) for step in STEPS]
        )
    assert torch.equal(stepped[2**25], stepped[block])


def test_draws_agree_with_numpys_search():
    weights = torch.rand(200, 500, generator=seeded(0))
    uniform = torch.rand(200, dtype=torch.float64, generator=seeded(1))
    expected = []
    for row, u in zip(weights.double().numpy(), uniform.numpy(), strict=True):
        cumulated = np.cumsum(row)
        expected.append(int(np.searchsorted(cumulated, u * cumulated[-1], side="right")))
    assert draw(weights, uniform).tolist() == expected


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1e-38, 1e-7, 1 / 3, 1.0, 1e30]), min_size=1, max_size=40).filter(any),
    st.sampled_from([0.0, 2.0**-52, 0.1, 1 / 3, 0.5, 1 - 2.0**-52]),
)
def test_a_weight_of_zero_is_never_drawn(weights, uniform):
    drawn = draw(torch.tensor([weights]), torch.tensor([uniform], dtype=torch.float64))
    assert weights[int(drawn)] > 0


def test_draws_have_the_distribution_of_the_weights():
    weights = torch.tensor([0.0, 3, 1, 0, 5, 1e-3, 0])
    uniform = torch.rand(NUM_TOKENS, dtype=torch.float64, generator=seeded(0))
    assert goodness_of_fit(draw(weights.expand(NUM_TOKENS, -1), uniform), weights) > SIGNIFICANT


@torch.no_grad()
@pytest.mark.parametrize("t", [0.0, 0.5, 0.89, 0.9, 0.97])
def test_guidance_of_hidden_rows_gives_the_published_guided_logits(ursa, golden, cases, kind, t):
    prompts = torch.cat([golden["prompt_ids"], golden["negative_prompt_ids"]]).long()
    grid = tuple(cases[kind]["latents_shape"])
    denoiser = Denoiser(ursa.transformer, prompts, grid, Guidance(scale=7.0, trunc=0.9))
    codes = golden["vae.codes"].long().flatten()
    fast, published = denoiser.head(denoiser.hidden(codes, t, torch.arange(len(codes)))), denoiser.logits(codes, t)
    torch.testing.assert_close(fast, published, atol=1e-4, rtol=0)


@torch.no_grad()
def test_guidance_moves_away_from_the_negative_prompt(ursa, golden, cases, kind):
    prompts = torch.cat([golden["prompt_ids"], golden["negative_prompt_ids"]]).long()
    grid, codes = tuple(cases[kind]["latents_shape"]), golden["vae.codes"].long().flatten()
    alone = [Denoiser(ursa.transformer, ids[None], grid, Guidance(1.0, 0.9)).logits(codes, 0.5) for ids in prompts]
    guided = Denoiser(ursa.transformer, prompts, grid, Guidance(3.0, 0.9)).logits(codes, 0.5)
    torch.testing.assert_close(guided, 3 * alone[0] - 2 * alone[1], atol=1e-4, rtol=0)


@torch.no_grad()
def test_guidance_acts_before_its_time_and_not_from_it_on(ursa, golden, cases, kind):
    prompts = torch.cat([golden["prompt_ids"], golden["negative_prompt_ids"]]).long()
    grid, codes = tuple(cases[kind]["latents_shape"]), golden["vae.codes"].long().flatten()
    denoiser = Denoiser(ursa.transformer, prompts, grid, Guidance(7.0, 0.9))
    alone = Denoiser(ursa.transformer, prompts[:1], grid, Guidance(1.0, 0.9)).logits(codes, 0.5)
    torch.testing.assert_close(denoiser.logits(codes, 0.9), alone, atol=1e-4, rtol=0)
    assert (denoiser.logits(codes, 0.8999) - alone).abs().max() > 0.1


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_end_a_step_and_are_not_drawn_from(number):
    row = scores(64)
    row[5] = number
    sampler = FastSampler(metric_path("learned"), TIMES, 1, CPU)
    with pytest.raises(OutputError, match=r"step 6: the transformer gave NaN or infinite numbers"):
        sampler.step(sampler.start(10), 5, FixedDenoiser(row))


@torch.no_grad()
def test_rows_that_guidance_takes_beyond_the_range_of_fp16_end_a_step():
    transformer = network().half()
    transformer.compute_with(Backends("flash"))
    transformer.model.norm.weight.fill_(1e4)  # rows of up to some 30,000, and fp16 ends at 65,504
    prompts = torch.arange(14).view(2, 7) + 2
    path = MetricPath(torch.randn(40, 3, generator=seeded(0)), 1.0, 5.0)
    sampler = FastSampler(path, TIMES, 1, CPU)
    codes = sampler.start(30)

    def step(scale):
        prompts_used = prompts if scale > 1 else prompts[:1]
        return sampler.step(codes, 5, Denoiser(transformer, prompts_used, (1, 5, 6), Guidance(scale, 0.9)))

    assert step(1.0).shape == codes.shape
    with pytest.raises(OutputError, match=r"step 6: the transformer gave NaN or infinite numbers"):
        step(50.0)


def test_a_gpu_meets_at_most_four_numbers_of_rows_and_a_cpu_sixteen():
    def numbers(device):
        sampler = FastSampler(metric_path("learned"), time_grid(200, 3.0), 0, torch.device(device))
        draws = (torch.rand(800, 3, dtype=torch.float64, generator=seeded(step)) for step in range(200))
        return {len(sampler._may_jump(uniform, step)) for step, uniform in enumerate(draws)}

    assert numbers("cuda") <= {0, 200, 400, 600, 800}
    assert len(numbers("cuda")) > 2
    assert numbers("cpu") <= {*range(0, 850, 50)}
