"""Chi-square tests of drawn codes, and one step of the jump process computed exactly."""

import numpy as np
import torch


def goodness_of_fit(codes, probabilities):
    """p-value of codes as draws from `probabilities`; rare codes are pooled to 5 expected draws and more."""
    expected = np.asarray(probabilities, dtype=np.float64)
    expected = expected / expected.sum() * len(codes)
    found = np.bincount(np.asarray(codes), minlength=len(expected)).astype(np.float64)
    assert len(found) == len(expected), f"codes reach {codes.max()}"
    if found[expected == 0].any():
        return 0.0
    found, expected = _pooled(expected, found, expected)
    return _p_value(((found - expected) ** 2 / expected).sum(), len(expected) - 1)


def homogeneity(a, b, num_codes):
    """p-value of two sets of codes as draws from one distribution."""
    a, b = (np.bincount(np.asarray(codes), minlength=num_codes).astype(np.float64) for codes in (a, b))
    a, b = _pooled((a + b) / 2, a, b)
    total = a.sum() + b.sum()
    statistic = 0.0
    for counts in (a, b):
        expected = (a + b) * counts.sum() / total
        statistic += ((counts - expected) ** 2 / expected).sum()
    return _p_value(statistic, len(a) - 1)


def exact_step(logits, move, dt):
    """Transition matrix (k, k) of one step in float64, the sum over all x_1.

    `move(x_1)` gives the rates from every code (rows) to every code (columns) under one x_1.
    """
    logits = np.asarray(logits, dtype=np.float64)
    p_x_1 = np.exp(logits - logits.max())
    p_x_1 /= p_x_1.sum()
    matrix = np.zeros((len(logits), len(logits)))
    for x_1, weight in enumerate(p_x_1):
        rates = move(x_1)
        np.fill_diagonal(rates, 0)
        total = rates.sum(1)
        jump = 1 - np.exp(-dt * total)
        target = np.divide(rates, total[:, None], out=np.zeros_like(rates), where=total[:, None] > 0)
        matrix += weight * (jump[:, None] * target + np.diag(1 - jump))
    return matrix


def metric_rates(codebook, alpha, c, t):
    """The rates of the metric path for `exact_step`, from the formulas (URSA paper equations 3 and 4)."""
    vectors = np.asarray(codebook, dtype=np.float64)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-5)
    distances = ((vectors[:, None] - vectors[None]) ** 2).sum(-1)
    beta = c * (t / (1 - t)) ** alpha
    slope = c * alpha * t ** (alpha - 1) / (1 - t) ** (alpha + 1) if t > 0 else 0.0

    def move(x_1):
        d = distances[x_1]
        p = np.exp(-beta * d)
        return p / p.sum() * slope * np.maximum(0, d[:, None] - d[None])

    return move


def mixture_rates(num_codes, t):
    """The rates of the mixture path for `exact_step`."""

    def move(x_1):
        rates = np.zeros((num_codes, num_codes))
        rates[:, x_1] = 1 / (1 - t)
        return rates

    return move


def _pooled(expected, *counts):
    order = np.argsort(expected, kind="stable")
    num_rare = np.searchsorted(expected[order], 5)
    # All rare codes are one class, which takes common ones in until it is common itself.
    while 0 < num_rare < len(order) and expected[order[:num_rare]].sum() < 5:
        num_rare += 1
    rare, common = order[:num_rare], order[num_rare:]
    if num_rare == 0:
        return counts
    return tuple(np.append(count[common], count[rare].sum()) for count in counts)


def _p_value(statistic, degrees):
    # Nothing left to compare: all draws fall into one class.
    if degrees == 0:
        return 1.0
    half = torch.tensor([degrees / 2, statistic / 2], dtype=torch.float64)
    return float(torch.special.gammaincc(*half))
