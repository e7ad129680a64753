"""The file: contents shown by a template that escapes all of them, with film and pictures inside."""

import os
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ursa_ray.errors import OptionError
from ursa_ray.explain import of_run, planned
from ursa_ray.files import published
from ursa_ray.html_report.contents import contents_of, require_hash
from ursa_ray.html_report.timeline import LEFT_PX, ROW_PX, WIDTH_PX
from ursa_ray.ledger import CONTACT_SHEET, FILM, Run
from ursa_ray.measured import COLUMNS, Measured, measure_film
from ursa_ray.measures import plot_frames
from ursa_ray.plan import Plan

# A larger film stays beside the report: browsers take long over more, and mail does not.
MAX_FILM_BYTES = 25_000_000

REMEDY = "Render again: it is made anew."

Watch = Callable[[Iterable[np.ndarray], int], Iterable[np.ndarray]]


@dataclass(frozen=True)
class ReportOptions:
    """What to report and where to.

    Attributes:
        out: None for a file beside the run's folder that is named after it; of a run in a bucket, here.
        film: whether the film is in it; one of more than `MAX_FILM_BYTES` is only linked.
        measures: whether the film is measured, which takes about as long as it plays.
    """

    run: str
    out: Path | None = None
    film: bool = True
    measures: bool = True


@dataclass(frozen=True)
class Written:
    path: Path
    size_bytes: int
    has_film: bool
    is_finished: bool


@dataclass(frozen=True)
class Embedded:
    """A film as the page shows it: by `source`, a data URI or a link."""

    source: str
    is_inside: bool


def write_report(options: ReportOptions, watch: Watch = lambda frames, num_frames: frames) -> Written:
    """Write the report of a run as it is now; nothing in the run is changed.

    Raises:
        OptionError: it is not a run, nothing is planned in it, or the report would be written into it.
        LedgerError: what it holds is damaged.
    """
    run = Run.open(options.run)
    plan = run.plan()
    if plan is None:
        raise OptionError(f"{run.url}: nothing is planned here yet. Render a storyboard first.")
    out = options.out or _beside(run)
    if out.resolve().is_relative_to(run.store.anywhere):
        raise OptionError(f"{out}: is inside the run {run.url}, which keeps to itself. Give an --out elsewhere.")
    if out.is_dir():
        raise OptionError(f"{out}: is a folder. Give the name of a file.")
    is_joined = run.last_film is not None and run.last_film.key == plan.sha256 and run.store.exists(FILM)
    measured = _measured(run, plan, watch) if is_joined and options.measures else None
    film = _film(run, out) if is_joined and options.film else None
    contents = contents_of(run, plan, measured)
    page = _template().render(
        contents=contents,
        film=film,
        sheet=_sheet(run) if is_joined else None,
        plot=None if measured is None else Markup(plot_frames(measured.frames, measured.parts, is_alone=False)),
        columns=COLUMNS,
        left_px=LEFT_PX,
        row_px=ROW_PX,
        width_px=WIDTH_PX,
    )
    with published(out) as aside:
        aside.write_text(page, encoding="utf-8")
    return Written(out, out.stat().st_size, film is not None and film.is_inside, contents.is_finished)


def _template():
    environment = Environment(
        loader=PackageLoader("ursa_ray.html_report", "."),
        autoescape=True,  # titles, prompts and ids come from a storyboard, perhaps a stranger's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _beside(run: Run) -> Path:
    name = run.url.rstrip("/").rpartition("/")[2]
    return Path(f"{name}.html") if run.url.startswith("s3://") else Path(run.store.anywhere).parent / f"{name}.html"


def _measured(run: Run, plan: Plan, watch: Watch) -> Measured:
    with run.store.reading(FILM) as path:
        return measure_film(run.where(FILM), path, of_run(run, plan) or planned(plan), watch)


def _film(run: Run, out: Path) -> Embedded:
    """The film in the page or, if it is too large, a link to it; one from a bucket is then copied beside the page."""
    with run.store.reading(FILM) as path:
        if path.stat().st_size <= MAX_FILM_BYTES:
            content = path.read_bytes()
            _require_made(run, content, FILM)
            return Embedded(_data_uri("video/mp4", content), True)
        if run.url.startswith("s3://"):
            beside = out.with_suffix(".mp4")
            with published(beside) as aside:
                shutil.copyfile(path, aside)
            return Embedded(quote(beside.name), False)
        return Embedded(quote(os.path.relpath(path.resolve(), out.resolve().parent)), False)


def _sheet(run: Run) -> str | None:
    if not run.store.exists(CONTACT_SHEET):
        return None
    content = run.store.read(CONTACT_SHEET)
    _require_made(run, content, CONTACT_SHEET)
    return _data_uri("image/png", content)


def _require_made(run: Run, content: bytes, name: str) -> None:
    """Refuse what is not the file that was made with the film."""
    made = run.last_film
    if made is not None and made.files is not None and name in made.files:
        require_hash(content, made.files[name], run.where(name), REMEDY)


def _data_uri(kind: str, content: bytes) -> Markup:
    return Markup(f"data:{kind};base64,{b64encode(content).decode()}")
