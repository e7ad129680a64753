"""What is counted of a render, and that dashboard and document speak of it. How Ray exports it is in `test_job`."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import ray.util.metrics

from tests.storyboards import TWO_CHAINS
from tests.test_render import Unlucky, executor_for, plan_of
from ursa_ray.cluster import metrics
from ursa_ray.cluster.metrics import METRICS, Metrics
from ursa_ray.errors import LostError, RenderError
from ursa_ray.ledger import Run
from ursa_ray.listener import Load
from ursa_ray.render import render
from ursa_ray.schedule import BlockNode, Place

REPOSITORY = Path(__file__).parent.parent.parent
DASHBOARD = json.loads((REPOSITORY / "deploy" / "grafana" / "ursa-ray.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
LABELS = {name: {"run", *labels} for name, _, labels, _ in METRICS}
PLACE = Place("replica", "node", "H100")


class Counted(Metrics):
    """Keeps beside Ray what it counts and sets; Ray, not connected, drops it."""

    def __init__(self):
        super().__init__("film")
        self.counts, self.values = Counter(), {}

    def _count(self, name, by=1, **labels):
        super()._count(name, by, **labels)
        self.counts[name, *labels.values()] += by if by > 0 else 0

    def _set(self, name, value, **labels):
        super()._set(name, value, **labels)
        self.values[name, *labels.values()] = value


def counted_render(folder, **options):
    plan, run, counted = plan_of(folder, TWO_CHAINS), Run.create(folder / "run"), Counted()
    executor = executor_for(plan, run, Unlucky, **options)
    return counted, lambda: render(plan, run, executor, counted)


def test_a_render_counts_its_segments_steps_and_what_was_lost(tmp_path):
    counted, make = counted_render(tmp_path, shot="left", error=LostError("gone"), num_failures=1)
    make()
    counts = counted.counts
    assert counts["ursa_segments_finished_total", ""] == 6
    assert counts["ursa_steps_total",] == 6 * 4
    assert counts["ursa_attempts_failed_total", "LostError"] == 1
    assert counts["ursa_segments_given_up_total",] == 0
    assert counted.values["ursa_segments_left",] == 0
    assert counts["ursa_replica_seconds_total", "busy"] > 0


def test_what_is_given_up_is_counted_and_is_left_with_what_waits_for_it(tmp_path):
    counted, make = counted_render(tmp_path, shot="left", error=RuntimeError("full"))
    with pytest.raises(RenderError):
        make()
    assert counted.counts["ursa_attempts_failed_total", "RuntimeError"] == 3
    assert counted.counts["ursa_segments_given_up_total",] == 1
    # left[0] takes left[1] and after[0] along.
    assert counted.values["ursa_segments_left",] == 3


def test_steps_before_those_that_an_attempt_makes_are_not_counted(tmp_path):
    (segment, *_), counted = plan_of(tmp_path).segments, Counted()
    for done in (32, 33, 40):  # it went on from 31
        counted.step(segment, done, 50)
    counted.step(segment, 2, 50)  # another replica is at it, too
    counted.step(segment, 41, 50)
    assert counted.counts["ursa_steps_total",] == 10


def test_time_is_spent_by_what_replicas_did_since_it_was_last_looked(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(metrics, "monotonic", lambda: now[0])
    counted = Counted()
    for num_running, num_idle, seconds in ((3, 1, 10), (4, 0, 5), (0, 4, 0)):
        counted.load(Load(2, num_running, num_idle, 1))
        now[0] += seconds
    spent = {state: counted.counts["ursa_replica_seconds_total", state] for state in ("busy", "idle", "starting")}
    assert spent == {"busy": 50, "idle": 10, "starting": 15}
    assert counted.values["ursa_segments_ready",] == 2
    assert [counted.values["ursa_replicas", state] for state in spent] == [0, 4, 1]


def test_what_is_out_of_the_ordinary_is_counted(tmp_path):
    counted = Counted()
    counted.late(plan_of(tmp_path).segments[0], PLACE, 100.0)
    counted.leave(PLACE)
    counted.hold(PLACE, "wrong")
    counted.block(BlockNode("node", "three segments"))
    assert set(counted.counts.elements()) == {
        ("ursa_segments_late_total",),
        ("ursa_replicas_leaving_total",),
        ("ursa_replicas_held_total",),
        ("ursa_nodes_blocked_total",),
    }


@pytest.mark.parametrize(("name", "kind"), [metric[:2] for metric in METRICS])
def test_names_are_as_prometheus_wants_them(name, kind):
    """https://prometheus.io/docs/practices/naming/: counters, and they alone, end with _total, after a base unit."""
    assert re.fullmatch(r"ursa(_[a-z]+)+", name)
    assert name.endswith("_total") == (kind is ray.util.metrics.Counter)
    assert not re.search(r"_(ms|minutes|milliseconds|hours|percent|count|sum|bucket)(_total)?$", name)


def exported():
    """Names as Prometheus has them, with their labels."""
    for name, kind, _, _ in METRICS:
        histogram = kind is ray.util.metrics.Histogram
        for suffix in ("_bucket", "_count") if histogram else ("",):
            yield f"ray_{name}{suffix}", LABELS[name] | ({"le"} if suffix == "_bucket" else set())


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_dashboard_asks_for_what_is_exported(expression):
    names = dict(exported())
    selected = re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expression)
    assert selected and set(re.findall(r"\bray_\w+", expression)) == {name for name, _ in selected}
    for name, matchers in selected:
        labels = set(re.findall(r"(\w+)=~?\"", matchers))
        by = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
        assert name in names
        assert "run" in labels and labels | by <= names[name]


def test_the_dashboard_shows_every_metric():
    shown = " ".join(EXPRESSIONS)
    assert [name for name in LABELS if not re.search(rf"ray_{name}(_bucket)?\{{", shown)] == []


def test_the_dashboard_has_what_grafana_asks_of_one():
    assert DASHBOARD["schemaVersion"] >= 36  # panels name their data source by type and uid
    assert DASHBOARD["uid"] and DASHBOARD["title"] and "id" not in DASHBOARD
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["run"]["definition"] == "label_values(ray_ursa_replicas, run)"
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for part in [*panels, *(target for panel in panels for target in panel["targets"])]:
        assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) == 23


def test_the_document_has_every_metric():
    document = (REPOSITORY / "docs" / "observability.md").read_text()
    rows = re.findall(r"^\| `ray_(\w+)` \| (\w+) \| ?(.*?) \| (.+) \|$", document, re.MULTILINE)
    assert [(name, kind, tuple(re.findall(r"`(\w+)`", labels)), about) for name, kind, labels, about in rows] == [
        (name, kind.__name__.lower(), labels, about) for name, kind, labels, about in METRICS
    ]
