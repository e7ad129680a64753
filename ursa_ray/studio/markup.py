"""What the page shows, as HTML. Every text of a storyboard, a file or an error is escaped here."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from ursa_ray.plan import Difference, Plan
from ursa_ray.studio.checking import Checked, Problem
from ursa_ray.studio.view import Phase, Plays, SegmentView, State, View
from ursa_ray.summary import format_time

HEADLINES = {
    Phase.EMPTY: "Nothing rendered yet",
    Phase.STARTING: "Starting",
    Phase.RENDERING: "Rendering",
    Phase.JOINING: "Finishing",
    Phase.ENDING: "Ending",
    Phase.PAUSED: "Not finished",
    Phase.FINISHED: "Finished",
}
NO_FILM = "The film appears here."
FAILED = "Failed"  # before anything was rendered

MAX_LISTED = 6  # shots, of what is taken again


def said(words: str) -> str:
    return f'<p class="said" role="status">{escape(words)}</p>' if words else ""


def complained(error: object) -> str:
    return f'<p class="complained" role="alert">{escape(str(error))}</p>'


def status(view: View, parts: str = "segments") -> str:
    """Where a run is, in one line and a bar."""
    # What starts tells nothing yet: what is there may be the film before it.
    is_told = bool(view.segments) and view.phase is not Phase.STARTING
    about = [f"{view.num_made} of {len(view.segments)} {parts}"] if is_told else []
    if view.is_busy and is_told:
        about.append(f"{view.share:.0%}")
    if view.seconds_left is not None:
        about.append(f"{'about ' if view.seconds_left >= 1 else ''}{format_time(view.seconds_left)} left")
    headline = FAILED if view.phase is Phase.EMPTY and view.complaint else HEADLINES[view.phase]
    who = f'<span class="who">{escape(view.holder)}</span>' if view.is_busy and view.holder else ""
    return (
        f'<div class="status {view.phase}" data-phase="{view.phase}"><div class="headline"><i class="dot"></i>'
        f"<b>{headline}</b> <span>{', '.join(about)}</span></div>{_bar(view.share if is_told else 0)}{who}"
        f"{complained(view.complaint) if view.complaint else ''}</div>"
    )


def cards(view: View, pictures: Mapping[str, Path]) -> str:
    """A card for every segment, with its picture if there is one."""
    if not view.segments:
        return '<p class="hint">The segments of the film appear here when it is rendered.</p>'
    drawn = "".join(_card(segment, pictures.get(segment.key)) for segment in view.segments)
    return f'<div class="cards" style="--aspect:{view.aspect:.4f}">{drawn}</div>'


def player(path: Path | None, caption: str) -> str:
    if path is None:
        return f'<div class="player empty"><span>{escape(caption)}</span></div>'
    return (
        f'<div class="player"><video controls playsinline loop preload="auto" src="{_address(path)}"></video>'
        f"<p>{escape(caption)}</p></div>"
    )


def caption(view: View) -> str:
    """What it is that is played."""
    return {
        Plays.WHOLE: f"The whole film, {view.seconds:.1f} s",
        Plays.BEFORE: f"The film before this change, {view.seconds_before:.1f} s",
        Plays.BEGINNING: f"The first {view.seconds_playable:.1f} s of {view.seconds:.1f} s",
        None: NO_FILM,
    }[view.plays]


def results(files: Mapping[str, Path]) -> str:
    """Single images and videos, each with its download."""
    return f'<div class="results">{"".join(_result(name, path) for name, path in files.items())}</div>'


def link(path: Path, name: str, mark: str) -> str:
    """A download, which the page follows by itself."""
    return f'<a class="taken" data-take="{mark}" href="{_address(path)}" download="{escape(name)}">{escape(name)}</a>'


def problems(checked: Checked) -> str:
    """What is wrong, each with its line, which the page marks in the editor."""
    if not checked.problems and not checked.warnings:
        return '<p class="fine">No mistakes.</p>'
    return f"<ul class='problems'>{_listed(checked.problems, 'wrong')}{_listed(checked.warnings, 'warned')}</ul>"


def plan_table(checked: Checked) -> str:
    """Shots, segments, frames, time, and what would be rendered anew and why."""
    plan, found = checked.plan, checked.difference
    if plan is None or found is None:
        return ""
    rows = ""
    for shot, new in zip(plan.shots, found.shots, strict=True):
        seconds = float(shot.num_frames / plan.fps)
        rows += _row("td", shot.id, len(shot.segments), shot.num_frames, seconds, new.num_kept, len(new.new))
        rows += f'<tr class="why"><td colspan="6">{escape("; ".join(new.reasons))}</td></tr>' if new.reasons else ""
    total = _row("th", "film", plan.num_segments, plan.num_frames, plan.seconds, found.num_kept, found.num_new)
    heads = "".join(f"<th>{name}</th>" for name in ("shot", "segments", "frames", "seconds", "kept", "new"))
    return (
        f'<div class="plan"><p>{escape(_about(plan))}</p><div class="scrolls"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}{total}</tbody></table></div><p>{escape(_cost(checked, found))}</p></div>"
    )


def foretold(part: str, again: Checked, checked: Checked) -> str:
    """What taking a part again comes to, with all that would be rendered anyway; or why it cannot be."""
    if again.plan is None or again.difference is None or checked.difference is None:
        return "".join(complained(each.text) for each in again.problems[:1])
    takes = sorted({each.take + 1 for each in again.plan.segments if part in (each.name, each.shot)})
    numbers = f"{'Take' if len(takes) == 1 else 'Takes'} {', '.join(map(str, takes))}"
    shots = [f"{shot.id} ({len(shot.new)})" for shot in again.difference.shots if shot.new]
    listed = f" In {', '.join(shots[:MAX_LISTED])}{', ...' if len(shots) > MAX_LISTED else ''}." if shots else ""
    others = {each.key for shot in checked.difference.shots for each in shot.new} & {
        each.key for shot in again.difference.shots for each in shot.new
    }
    edited = f" Render alone would make {len(others)} of these." if others else ""
    return said(f"{numbers} of {part}. {_cost(again, again.difference)}{listed}{edited}")


def assets(names: Iterable[str]) -> str:
    listed = "".join(f"<li><code>{escape(name)}</code></li>" for name in names)
    hint = "Name them in a shot: <code>image: sunset.png</code> or <code>video: sea.mp4</code>."
    return f'<div class="assets"><ul>{listed}</ul><p class="hint">{hint}</p></div>' if listed else ""


def _about(plan: Plan) -> str:
    return f"{plan.title or 'untitled'}: {plan.width}x{plan.height}, {plan.fps} frames a second, {plan.model}"


def _cost(checked: Checked, found: Difference) -> str:
    if not found.num_new:
        return "Nothing is new: rendering only joins the film, if that is missing."
    pace = "of one replica, at the pace of this run" if checked.is_measured else "of an H200, predicted"
    num = f"{found.num_new} segment{'' if found.num_new == 1 else 's'}"
    return f"New work: {num}, {format_time(checked.seconds_new)} {pace}."


def _row(cell: str, name: str, segments: int, frames: int, seconds: float, kept: int, new: int) -> str:
    cells = [name, str(segments), str(frames), f"{seconds:.1f}", str(kept), str(new)]
    marked = ' class="is-new"' if new else ""
    return f"<tr{marked}>{''.join(f'<{cell}>{escape(text)}</{cell}>' for text in cells)}</tr>"


def _listed(found: Sequence[Problem], kind: str) -> str:
    places = (("", "") if each.line is None else (f' data-line="{each.line}"', f"line {each.line}") for each in found)
    return "".join(
        f'<li class="{kind}"{at}><b>{place}</b><span>{escape(each.text)}</span></li>'
        for (at, place), each in zip(places, found, strict=True)
    )


def _card(segment: SegmentView, picture: Path | None) -> str:
    words = {
        State.BEGUN: f"step {segment.num_done} of {segment.num_steps}",
        State.FAILED: segment.reason,
    }.get(segment.state, f"{segment.num_frames} frames")
    words += f", take {segment.take}" if segment.take > 1 else ""
    shown = "" if picture is None else f'<img src="{_address(picture)}" alt="" loading="lazy">'
    return (
        f'<figure class="card {segment.state}" data-segment="{escape(segment.name)}" data-state="{segment.state}">'
        f'<div class="frame">{shown}</div>{_bar(segment.num_done / segment.num_steps)}'
        f"<figcaption><b>{escape(segment.name)}</b><span>{escape(words)}</span></figcaption></figure>"
    )


def _result(name: str, path: Path) -> str:
    address, named = _address(path), escape(name)
    shown = f'<img src="{address}" alt="">'
    if path.suffix == ".mp4":
        shown = f'<video controls loop playsinline src="{address}"></video>'
    link = f'<a href="{address}" download="{named}">{named}</a>'
    return f"<figure>{shown}<figcaption>{link}</figcaption></figure>"


def _bar(share: float) -> str:
    return f'<div class="bar"><i style="width:{100 * share:.1f}%"></i></div>'


def _address(path: Path) -> str:
    """Gradio gives files of its `allowed_paths` so."""
    return f"gradio_api/file={quote(str(path))}"
