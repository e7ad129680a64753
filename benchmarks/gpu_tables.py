"""The rows of `bench_gpu.py` as tables, with the goal beside each figure and, on its card, whether it is met."""

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from gpu_goals import (
    CARDS,
    FLOOR_SHARE,
    MAX_PEAK_BYTES,
    PEAK_TIMES,
    REST_SHARE,
    SAID,
    SEGMENT_TIMES_FASTER,
    TIMES_FASTER,
    Goals,
)

Row = dict[str, Any]


def tables(content: dict[str, Any]) -> str:
    rows = content["rows"]
    machines = {row["side"]: row["found"] for row in _of(rows, "machine")}
    card = machines.get("ours", {}).get("device")
    head = [f"{content['began']}, commit {content['commit']}, published {content['published_commit']}", ""]
    head += [f"- {side}: {_words(found)}" for side, found in machines.items()]
    if "published" in machines and machines["published"]["flash_attn"] is None:
        head += ["- published is without flash-attn, whose norms and rotation take less time than torch's that it has"]
    head += [f"- {SAID}"]
    parts = [
        _ceilings(rows, card),
        _attention(rows),
        *_by_size(rows, "step", lambda of: _steps(of, rows, card)),
        *_by_size(rows, "segment", lambda of: _segment(of, rows, card)),
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


def _ceilings(rows: list[Row], card: str | None) -> str:
    found = [row["found"] for row in _of(rows, "ceilings")]
    if not found:
        return ""
    lines = []
    for name, value in found[0].items():
        is_copy, sheet = name.startswith("copy"), CARDS.get(card or "")
        said = "" if sheet is None else f"{(sheet.bytes_per_s if is_copy else sheet.flops_per_s) / 1e12:.2f}"
        unit = "TB/s" if is_copy else "TFLOP/s"
        lines.append([name.rpartition("_per_s")[0].replace("_", " "), f"{value / 1e12:.2f} {unit}", said])
    return _table("Ceilings", ["", "measured", "data sheet"], lines)


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


def _steps(rows: list[Row], all_rows: list[Row], card: str | None) -> str:
    ceiling = next((row["found"]["float16_flops_per_s"] for row in _of(all_rows, "ceilings")), None)
    sheet, goals = CARDS.get(card or ""), Goals(card, rows[0]["size"])
    lines = []
    for row in rows:
        found, median = row["found"], row["found"]["median_s"]
        rate = row["minimum_flops"] / median["ours"]
        peaks = {name: max(run["peak_bytes"] or 0 for run in runs) for name, runs in found["runs"].items()}
        apart = found["apart"]
        lines.append(
            [
                f"{row['variant']}, {row['attention']}",
                f"{median['ours'] * 1e3:,.1f}",
                f"{median['published'] * 1e3:,.1f}" if "published" in median else "",
                _at_least(median["published"] / median["ours"], TIMES_FASTER, goals) if "published" in median else "",
                _at_least(rate / ceiling, FLOOR_SHARE, goals) if ceiling else "",
                "" if sheet is None else f"{rate / sheet.flops_per_s:.2f}",
                *_peaks(peaks, goals),
                "" if apart is None else f"{apart:.1e}",
                " / ".join(f"{statistics.mean(run['changed'] for run in runs):.2%}" for runs in found["runs"].values()),
                found["note"] or "",
            ]
        )
    columns = [
        f"{rows[0]['size']}, one step, ms",
        "ours",
        "published",
        goals.behind("times", TIMES_FASTER),
        goals.behind("share of floor's rate", FLOOR_SHARE),
        "of the data sheet's",
        goals.behind("ours, GB", MAX_PEAK_BYTES / 1e9),
        goals.behind("of published", PEAK_TIMES),
        "logits apart",
        "codes changed, ours / published",
        "not had",
    ]
    return _table(f"Steps on {card}, medians of runs in turns, peak of a step", columns, lines)


def _segment(rows: list[Row], all_rows: list[Row], card: str | None) -> str:
    """With what was measured of the same size elsewhere: decoding, files, and the published steps."""
    found, size = rows[-1]["found"], rows[-1]["size"]
    goals = Goals(card, size)
    others = [row for row in all_rows if row.get("size") == size and "found" in row]
    decoded = {row["side"]: row["found"]["again"] for row in _of(others, "decode")}
    files = [row["found"]["seconds"] for row in _of(others, "files")]
    decode_s, ours = decoded.get("ours", {}).get("seconds"), found["steps_s"]
    rest_s = sum([decode_s or 0.0, *files])
    peak = max(found["peak_bytes"] or 0, decoded.get("ours", {}).get("peak_bytes") or 0)
    share = rest_s / (ours + rest_s)
    lines = [
        ["steps" if found["whole"] else "steps, most from their neighbours", f"{ours:.2f} s"],
        [f"more in a process's first, {len(found['first_s'])} kinds of steps", f"{found['building_s']:.2f} s"],
        ["decoding", "not measured" if decode_s is None else f"{decode_s:.3f} s"],
        ["mezzanine of noise", f"{files[0]:.2f} s" if files else "not measured"],
        [
            goals.behind("decoding and files, of what was measured", REST_SHARE),
            goals.judged(f"{share:.2%}", share <= REST_SHARE),
        ],
    ]
    if peak:
        said = goals.judged(f"{peak / 1e9:.2f}", peak <= MAX_PEAK_BYTES)
        lines.append([goals.behind("peak memory, GB", MAX_PEAK_BYTES / 1e9), said])
    steps = [row for row in _of(others, "step") if "published" in row["found"]["median_s"]]
    if steps:
        step_s = steps[-1]["found"]["median_s"]["published"]
        published_s = len(found["by_step_s"]) * step_s + decoded.get("published", {}).get("seconds", 0.0)
        segment_s = ours + (decode_s or 0.0)
        times = _at_least(published_s / segment_s, SEGMENT_TIMES_FASTER, goals)
        lines += [
            ["published, from its median step", f"{published_s:.2f} s"],
            [goals.behind("times", SEGMENT_TIMES_FASTER), times],
            ["times, of a process's first", f"{published_s / (segment_s + found['building_s']):.2f}"],
        ]
    return _table(f"A segment on {card}, {size}, {rows[-1]['variant']}", ["", "measured"], lines)


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


def _at_least(value: float, goal: float, goals: Goals) -> str:
    return goals.judged(f"{value:.2f}", value >= goal)


def _peaks(peaks: dict[str, float], goals: Goals) -> list[str]:
    if not peaks["ours"]:
        return ["", ""]
    ours = goals.judged(f"{peaks['ours'] / 1e9:.2f}", peaks["ours"] <= MAX_PEAK_BYTES)
    if not peaks.get("published"):
        return [ours, ""]
    times = peaks["ours"] / peaks["published"]
    return [ours, goals.judged(f"{times:.2f} of {peaks['published'] / 1e9:.1f} GB", times <= PEAK_TIMES)]


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
