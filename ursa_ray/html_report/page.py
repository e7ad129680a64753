"""The file: contents shown by a template that escapes all of them, with film and pictures inside."""

import os
import shutil
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from ursa_ray.errors import OptionError
from ursa_ray.files import published, require_folder
from ursa_ray.html_report.contents import contents_of, require_hash
from ursa_ray.html_report.timeline import LEFT_PX, ROW_PX, WIDTH_PX
from ursa_ray.known import filmed_run, planned, said_by
from ursa_ray.ledger import CONTACT_SHEET, FILM, Run
from ursa_ray.measured import COLUMNS, measure_film
from ursa_ray.measures import plot_frames
from ursa_ray.media import Watch, unwatched

# A larger film stays beside the report: browsers take long over more, and mail does not.
MAX_FILM_BYTES = 25_000_000

REMEDY = "Render again: it is made anew."


@dataclass(frozen=True)
class ReportOptions:
    """What to report and where to.

    Attributes:
        out: None for a file beside the run's folder that is named after it; of a run in a bucket, here.
        film: whether the film is in it; one of more than `MAX_FILM_BYTES` is only linked.
        measures: whether the film is measured, which takes 23 to 45 ms a frame of 512x320 on one core.
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


def write_report(options: ReportOptions, watch: Watch = unwatched) -> Written:
    """Write the report of a run as it is now; nothing in the run is changed.

    Raises:
        OptionError: it is no run of a film, nothing is planned in it, or the report cannot be written or would be
            written into it.
        LedgerError: what it holds is damaged.
    """
    run, plan = filmed_run(options.run)
    out = options.out or _beside(run)
    if out.resolve().is_relative_to(run.store.anywhere):
        raise OptionError(f"{out}: is inside the run {run.url}, which keeps to itself. Give an --out elsewhere.")
    if out.is_dir():
        raise OptionError(f"{out}: is a folder. Give the name of a file.")
    require_folder(out.parent)
    with run.film_of(plan) as film:
        exact = None if film is None else said_by(film, plan)
        measured = None
        if film is not None and options.measures:
            measured = measure_film(run.where(FILM), film, exact or planned(plan), watch)
        shown = None if film is None or not options.film else _shown(run, film, out)
    contents = contents_of(run, plan, exact, measured)
    page = _template().render(
        contents=contents,
        film=shown,
        sheet=None if film is None else _sheet(run),
        plot=None if measured is None else Markup(plot_frames(measured.frames, measured.parts, is_alone=False)),
        columns=COLUMNS,
        left_px=LEFT_PX,
        row_px=ROW_PX,
        width_px=WIDTH_PX,
    )
    with published(out) as aside:
        aside.write_text(page, encoding="utf-8")
    return Written(out, out.stat().st_size, shown is not None and shown.is_inside, contents.is_finished)


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("ursa_ray.html_report", "."),
        autoescape=True,  # titles, prompts and ids come from a storyboard, perhaps a stranger's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _beside(run: Run) -> Path:
    place = Path(run.store.anywhere)
    return Path(f"{place.name}.html") if run.url.startswith("s3://") else place.with_name(f"{place.name}.html")


def _shown(run: Run, film: Path, out: Path) -> Embedded:
    """The film in the page or, if it is too large, a link to it; one from a bucket is then copied beside the page."""
    if film.stat().st_size <= MAX_FILM_BYTES:
        return Embedded(_data_uri("video/mp4", film.read_bytes()), True)
    if run.url.startswith("s3://"):
        beside = out.with_suffix(".mp4")
        with published(beside) as aside:
            shutil.copyfile(film, aside)
        return Embedded(quote(beside.name), False)
    return Embedded(quote(os.path.relpath(film.resolve(), out.resolve().parent)), False)


def _sheet(run: Run) -> str | None:
    if not run.store.exists(CONTACT_SHEET):
        return None
    content, made = run.store.read(CONTACT_SHEET), run.last_film
    if made is not None and made.files is not None and CONTACT_SHEET in made.files:
        require_hash(content, made.files[CONTACT_SHEET], run.where(CONTACT_SHEET), REMEDY)
    return _data_uri("image/png", content)


def _data_uri(kind: str, content: bytes) -> Markup:
    return Markup(f"data:{kind};base64,{b64encode(content).decode()}")
