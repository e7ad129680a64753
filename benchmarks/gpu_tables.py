"""The rows of `bench_gpu.py` as tables, with the goal beside each figure and whether it is met."""

import statistics
from collections.abc import Callable, Iterable
from typing import Any

# Of the larger model on one H200. Memory is also to be at most a third of the published pipeline's.
TIMES_FASTER, FLOOR_SHARE, MAX_PEAK_BYTES, PEAK_TIMES, REST_SHARE = 1.12, 0.75, 8e9, 0.33, 0.01
SEGMENT_TIMES_FASTER = 1.17

Row = dict[str, Any]


def tables(content: dict[str, Any]) -> str:
    rows = content["rows"]
    ceiling = next((_rate(row["found"]) for row in _of(rows, "ceilings")), None)
    head = [f"{content['began']}, commit {content['commit']}, published {content['published_commit']}", ""]
    head += [f"- {row['side']}: {_words(row['found'])}" for row in _of(rows, "machine")]
    parts = [
        _ceilings(rows),
        _attention(rows),
        *_by_size(rows, "step", lambda of: _steps(of, ceiling)),
        *_by_size(rows, "segment", lambda of: _segment(of, rows)),
        *(_parts(row) for row in _of(rows, "parts")),
        _not_measured(rows),
    ]
    return "\n\n".join(["\n".join(head), *filter(None, parts)]) + "\n"


def _of(rows: Iterable[Row], name: str) -> list[Row]:
    return [row for row in rows if row["row"] == name and "found" in row]


def _by_size(rows: list[Row], name: str, make: Callable[[list[Row]], str]) -> list[str]:
    sizes = dict.fromkeys(row["size"] for row in _of(rows, name))
    return [make([row for row in _of(rows, name) if row["size"] == size]) for size in sizes]


def _table(title: str, columns: list[str], lines: Iterable[list[str]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join([f"{title}:", "", *(f"| {' | '.join(cells)} |" for cells in rows)])


def _ceilings(rows: list[Row]) -> str:
    found = [row["found"] for row in _of(rows, "ceilings")]
    if not found:
        return ""
    units = {name: (1e12, "TB/s") if name.startswith("copy") else (1e12, "TFLOP/s") for name in found[0]}
    lines = [
        [name.rpartition("_per_s")[0].replace("_", " "), f"{value / units[name][0]:.2f} {units[name][1]}"]
        for name, value in found[0].items()
    ]
    return _table("Ceilings", ["", "measured"], lines)


def _attention(rows: list[Row]) -> str:
    names = {True: "grouped", False: "expanded"}
    lines = [
        [
            f"{row['backend']}, {names[row['grouped']]}, {row['dtype']}",
            f"{row['found']['seconds'] * 1e3:.2f}",
            f"{row['found']['flops_per_s'] / 1e12:.0f}",
            f"{row['found']['relative_error']:.1e}",
            f"`{row['found']['kernel']}`",
        ]
        for row in _of(rows, "attention")
    ]
    return _table("Attention of one layer", ["", "ms", "TFLOP/s", "error", "kernel"], lines) if lines else ""


def _steps(rows: list[Row], ceiling: float | None) -> str:
    lines = []
    for row in rows:
        found, median = row["found"], row["found"]["median_s"]
        share = row["minimum_flops"] / ceiling / median["ours"] if ceiling else None
        peaks = {name: max(run["peak_bytes"] or 0 for run in runs) for name, runs in found["runs"].items()}
        apart = found["apart"]
        lines.append(
            [
                f"{row['variant']}, {row['attention']}",
                f"{median['ours'] * 1e3:,.1f}",
                f"{median['published'] * 1e3:,.1f}" if "published" in median else found["published_error"] or "",
                _judged(median["published"] / median["ours"], TIMES_FASTER) if "published" in median else "",
                "" if share is None else _judged(share, FLOOR_SHARE),
                *_peaks(peaks),
                "" if apart is None else f"{apart:.1e}",
                " / ".join(f"{statistics.mean(run['changed'] for run in runs):.2%}" for runs in found["runs"].values()),
            ]
        )
    columns = [
        f"{rows[0]['size']}, one step, ms",
        "ours",
        "published",
        f"times (goal {TIMES_FASTER})",
        f"share of floor's rate (goal {FLOOR_SHARE})",
        f"ours, GB (goal {MAX_PEAK_BYTES / 1e9:.0f})",
        f"of published (goal {PEAK_TIMES})",
        "logits apart",
        "codes changed, ours / published",
    ]
    return _table("Steps, medians of runs in turns, peak of a step", columns, lines)


def _segment(rows: list[Row], all_rows: list[Row]) -> str:
    """With what was measured of the same size elsewhere: decoding, files, and the published steps."""
    found, size = rows[-1]["found"], rows[-1]["size"]
    others = [row for row in all_rows if row.get("size") == size and "found" in row]
    decoded = {row["side"]: row["found"]["again"] for row in _of(others, "decode")}
    files = [row["found"]["seconds"] for row in _of(others, "files")]
    decode_s, ours = decoded.get("ours", {}).get("seconds"), found["steps_s"]
    rest_s = sum([decode_s or 0.0, *files])
    peak = max(found["peak_bytes"] or 0, decoded.get("ours", {}).get("peak_bytes") or 0)
    share = rest_s / (ours + rest_s)
    lines = [
        ["steps" if found["whole"] else "steps, most from their neighbours", f"{ours:.2f} s", ""],
        ["decoding", "not measured" if decode_s is None else f"{decode_s:.3f} s", ""],
        ["mezzanine of noise", f"{files[0]:.2f} s" if files else "not measured", ""],
        [
            "decoding and files, of what was measured",
            f"{share:.2%}",
            _met(share <= REST_SHARE, f"at most {REST_SHARE:.0%}"),
        ],
        ["peak memory", f"{peak / 1e9:.2f} GB", _met(peak <= MAX_PEAK_BYTES, "at most 8 GB") if peak else ""],
    ]
    steps = [row for row in _of(others, "step") if "published" in row["found"]["median_s"]]
    if steps:
        step_s = steps[-1]["found"]["median_s"]["published"]
        published_s = len(found["by_step_s"]) * step_s + decoded.get("published", {}).get("seconds", 0.0)
        times = published_s / (ours + (decode_s or 0.0))
        lines += [
            ["published, from its median step", f"{published_s:.2f} s", ""],
            ["times", f"{times:.2f}", _met(times >= SEGMENT_TIMES_FASTER, f"at least {SEGMENT_TIMES_FASTER}")],
        ]
    return _table(f"A segment, {size}, {rows[-1]['variant']}", ["", "measured", "goal"], lines)


def _parts(row: Row) -> str:
    found = row["found"]
    total = found["device_ms"] or 1.0
    title = f"Where a step of {row['side']} ({row['variant']}) goes, {row['size']}, step {row['step']}"
    title += f", {found['ms']:.0f} ms by the clock, {total:.0f} ms on the device"
    lines = [[name, f"{ms:.2f}", f"{ms / total:.1%}", ""] for name, ms in found["parts"].items()]
    lines += [
        [f"`{kernel['name'][:90]}`", f"{kernel['ms']:.2f}", f"{kernel['ms'] / total:.1%}", str(kernel["calls"])]
        for kernel in found["kernels"][:12]
    ]
    return _table(title, ["", "ms", "share", "calls"], lines)


def _not_measured(rows: list[Row]) -> str:
    lines = [
        [
            f"{row['row']} {_words({k: row[k] for k in row if k in ('side', 'size', 'variant', 'backend', 'dtype')})}",
            why,
        ]
        for row in rows
        if (why := row.get("skipped") or row.get("error"))
    ]
    return _table("Not measured", ["row", "why"], lines) if lines else ""


def _rate(found: dict[str, float]) -> float:
    return found["float16_flops_per_s"]


def _judged(value: float, goal: float) -> str:
    return f"{value:.2f} {'met' if value >= goal else 'missed'}"


def _met(is_met: bool, goal: str) -> str:
    return f"{goal}: {'met' if is_met else 'missed'}"


def _peaks(peaks: dict[str, float]) -> list[str]:
    if not peaks["ours"]:
        return ["", ""]
    ours = f"{peaks['ours'] / 1e9:.2f} {'met' if peaks['ours'] <= MAX_PEAK_BYTES else 'missed'}"
    if not peaks.get("published"):
        return [ours, ""]
    times = peaks["ours"] / peaks["published"]
    return [ours, f"{times:.2f} of {peaks['published'] / 1e9:.1f} GB {'met' if times <= PEAK_TIMES else 'missed'}"]


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
