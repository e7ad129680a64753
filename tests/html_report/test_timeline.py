"""Where bars of a timeline are: times of segments by a clock that leaves long pauses out."""

from datetime import UTC, datetime, timedelta

import pytest

from ursa_ray.html_report.timeline import LEFT_PX, MAX_GAP_S, MAX_ROWS, WIDTH_PX, Span, lay_out

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PLOT_PX = WIDTH_PX - LEFT_PX


def span(replica, began_s, ended_s, failure=None):
    began, ended = (NOON + timedelta(seconds=seconds) for seconds in (began_s, ended_s))
    return Span(replica, f"{replica}@{began_s}", began, ended, "#000", failure)


def test_bars_are_as_long_as_their_segments_took_and_begin_when_they_began():
    timeline = lay_out([span("a", 0, 10), span("b", 5, 20), span("a", 10, 15)])
    assert [row.label for row in timeline.rows] == ["a", "b"]
    (first, last), (other,) = (row.bars for row in timeline.rows)
    assert timeline.seconds == 20
    assert [bar.x for bar in (first, other, last)] == [LEFT_PX, LEFT_PX + PLOT_PX / 4, LEFT_PX + PLOT_PX / 2]
    assert [bar.width + 0.5 for bar in (first, other, last)] == pytest.approx(
        [PLOT_PX / 2, PLOT_PX * 3 / 4, PLOT_PX / 4]
    )


def test_of_a_night_between_two_renders_a_short_pause_is_left():
    night = 8 * 3600
    timeline = lay_out([span("a", 0, 10), span("a", night, night + 10)])
    assert timeline.seconds == pytest.approx(20 + MAX_GAP_S / 4)
    (first, second) = timeline.rows[0].bars
    assert second.x + second.width <= WIDTH_PX
    (gap,) = timeline.breaks
    assert first.x + first.width < gap < second.x
    assert lay_out([span("a", 0, 10), span("b", 9, 100), span("a", 95, 200)]).breaks == ()


def test_a_failure_is_a_mark_where_it_happened():
    timeline = lay_out([span("a", 0, 10), span("b", 5, 5, "RuntimeError: no memory")])
    (mark,) = timeline.rows[1].bars
    assert (mark.is_failure, mark.x) == (True, LEFT_PX + PLOT_PX / 2)
    assert "RuntimeError: no memory" in mark.title


def test_of_a_thousand_replicas_those_with_the_most_work_are_drawn():
    spans = [span(f"r{number}", number, number + 1) for number in range(1000)]
    timeline = lay_out([*spans, span("r999", 1001, 1002)])
    assert len(timeline.rows) == MAX_ROWS
    assert timeline.num_hidden == 1000 - MAX_ROWS
    assert "r999" in [row.label for row in timeline.rows]


def test_nothing_to_show_is_no_timeline():
    assert lay_out([]) is None
    assert lay_out([span("a", 0, 0)]).seconds == 0
