"""Seam jumps and drift of films whose segments are known."""

from itertools import chain
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.measures.films import checkered, grey, moving_square
from ursa_ray.measures import Part, film_figures, measure_frames, measure_parts, plot_frames, with_drift

FPS = 10


def measured(frames, *parts):
    table = with_drift(measure_frames(frames), parts, FPS)
    return table, measure_parts(table, parts)


def test_a_seam_jumps_as_many_times_as_it_differs_more_than_the_frames_around_it():
    # Steps of 2 inside, one of 6 at the seam.
    frames = grey(*range(10, 20, 2), *range(24, 34, 2))
    _, parts = measured(frames, Part("a[0]", 0, 5), Part("a[1]", 5, 10, goes_on=True))
    assert parts["seam_jump"].to_pylist() == [None, 3.0]


def test_a_cut_is_no_seam():
    table, parts = measured(grey(10, 12, 14, 200, 202, 204), Part("a[0]", 0, 3), Part("b[0]", 3, 6))
    figures = film_figures(table, parts)
    assert parts["seam_jump"].to_pylist() == [None, None]
    assert (figures["num_seams"], figures["seam_jump"], figures["worst_seam"]) == (0, None, None)


def test_a_jump_between_segments_in_which_nothing_moves_is_the_worst_there_is():
    # 150 levels, over a tenth of one.
    table, parts = measured(grey(10, 10, 10, 160, 160), Part("a[0]", 0, 3), Part("a[1]", 3, 5, goes_on=True))
    figures = film_figures(table, parts)
    assert parts["seam_jump"].to_pylist() == [None, pytest.approx(1500.0)]
    assert (figures["num_seams"], figures["worst_seam"]) == (1, "a[1]")


def test_a_film_in_which_nothing_ever_changes_has_joins_that_do_not_jump():
    figures = film_figures(*measured(grey(9, 9, 9, 9), Part("a[0]", 0, 2), Part("a[1]", 2, 4, goes_on=True)))
    assert (figures["num_seams"], figures["worst_seam"], figures["worst_seam_jump"]) == (1, "a[1]", 0.0)


def test_segments_of_one_frame_have_no_mean_inside_and_no_seam_jump():
    _, parts = measured(grey(10, 160), Part("a[0]", 0, 1), Part("a[1]", 1, 2, goes_on=True))
    assert parts["seam_jump"].to_pylist() == [None, None]


def test_the_worst_seam_is_named():
    frames = grey(10, 12, 14, 18, 20, 22, 32, 34, 36)
    parts = [Part("a[0]", 0, 3), Part("a[1]", 3, 6, True), Part("a[2]", 6, 9, True)]
    table, rows = measured(frames, *parts)
    figures = film_figures(table, rows)
    assert (figures["worst_seam"], figures["worst_seam_jump"]) == ("a[2]", 5.0)
    assert (figures["num_seams"], figures["seam_jump"]) == (2, (2.0 + 5.0) / 2)


def test_a_ramp_drifts_in_colour_from_the_mean_of_its_first_second():
    table, parts = measured(grey(*range(50, 90)), Part("a[0]", 0, 20), Part("a[1]", 20, 40, True))
    # The first ten are 54.5 in the mean.
    np.testing.assert_allclose(table["colour_drift"].to_numpy(), [abs(level - 54.5) for level in range(50, 90)])
    np.testing.assert_allclose(parts["colour_drift"].to_pylist()[1], np.mean([level - 54.5 for level in range(70, 90)]))
    assert film_figures(table, parts)["largest_colour_drift"] == pytest.approx(89 - 54.5)


def test_drift_begins_anew_after_a_cut():
    table, _ = measured(grey(*[50] * 10, *[200] * 10), Part("a[0]", 0, 10), Part("b[0]", 10, 20))
    np.testing.assert_allclose(table["colour_drift"].to_numpy(), 0)


def test_contrast_that_is_lost_drifts_below_zero():
    frames = chain([checkered(60)] * 10, [checkered(45)] * 5)
    table, parts = measured(frames, Part("a[0]", 0, 15))
    np.testing.assert_allclose(table["contrast_drift"].to_numpy(), [0] * 10 + [-15] * 5, atol=1e-3)
    assert film_figures(table, parts)["largest_contrast_drift"] == pytest.approx(-15, abs=1e-3)


def test_of_the_film_every_step_that_is_measured_counts_once_however_short_its_segment():
    # Of flicker one frame of a has 10 levels, and three of b none.
    figures = film_figures(*measured(grey(10, 20, 10, *[50] * 5), Part("a[0]", 0, 3), Part("b[0]", 3, 8)))
    assert figures["flicker"] == 10 / 4
    # One step of 5 px, then three of 1 px.
    frames = chain(moving_square(2, 5), moving_square(4, 1))
    figures = film_figures(*measured(frames, Part("a[0]", 0, 2), Part("b[0]", 2, 6)))
    assert figures["motion_px"] == (5 + 1 + 1 + 1) / 4


def test_a_cut_is_neither_motion_nor_flicker_of_the_segments_around_it():
    _, parts = measured(grey(50, 50, 50, 200, 50, 50, 50), Part("a[0]", 0, 3), Part("b[0]", 3, 4), Part("c[0]", 4, 7))
    assert parts["flicker"].to_pylist() == [0.0, None, 0.0]
    assert parts["motion_px"].to_pylist() == [0.0, None, 0.0]


def test_every_frame_says_its_segment_and_its_time():
    table, _ = measured(grey(1, 2, 3), Part("a[0]", 0, 2), Part("b[0]", 2, 3))
    assert table["segment"].to_pylist() == ["a[0]", "a[0]", "b[0]"]
    np.testing.assert_allclose(table["seconds"].to_pylist(), [0, 0.1, 0.2])


@pytest.mark.parametrize("num_frames", [1, 2, 5000])
def test_the_plot_of_a_film_of_any_length_is_small_svg_with_a_line_for_every_measure(num_frames):
    levels = np.random.default_rng(0).integers(0, 255, num_frames)
    rows = measure_frames(grey(*levels[:40]))
    indices = np.arange(num_frames) % len(rows)
    parts = [Part("<film>", 0, num_frames)]
    plot = plot_frames(with_drift(rows.take(indices), parts, FPS), parts)
    assert len(plot) < 60_000
    drawn = ElementTree.fromstring(plot)
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 5
    assert "nan" not in plot
