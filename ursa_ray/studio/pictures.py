"""What a page shows of a run and hands out: stills, previews, the film so far, codes; copies in a folder of their own.

The browser gets files of this folder alone. They are named by what they hold, so a browser may keep them.
"""

import hashlib
import shutil
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

import numpy as np
from PIL import Image

from ursa_ray.files import file_sha256, published
from ursa_ray.join import segment_frames, write_planned_film
from ursa_ray.ledger import FILM, Commit, Run, preview_name
from ursa_ray.plan import Plan, PlannedShot, Segment

STILL_PX = 320
# A still takes 0.05 s for 17 frames of 64x48 and 0.3 s for 49 of 512x320; a page must not wait for more than this.
STILLS_WITHIN_S = 0.5

# Films so far, codes, and films that others have replaced, which are kept for browsers that still have them; what is
# asked for again is made again.
MAX_KEPT = 16


class Preview(NamedTuple):
    """Of a segment, as it was found after so many saved steps."""

    num_done: int
    path: Path


class FilmFound(NamedTuple):
    """What was there when a film had been joined; None if it was another file."""

    joined: Commit | None
    path: Path | None


class Pictures:
    """Shows things in `folder`, which is all that browsers get files of."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._previews: dict[str, dict[str, Preview]] = {}  # of each run, by the keys of its segments
        self._films: dict[str, FilmFound] = {}  # of each run
        self._kept: OrderedDict[Path, None] = OrderedDict()  # what goes in time, the latest last
        self._lock = threading.Lock()

    def stills(self, run: Run, plan: Plan, framed: Collection[str]) -> dict[str, Path]:
        """The middle frame of each segment whose frames are there, by key; of some only the next time."""
        until, stills = monotonic() + STILLS_WITHIN_S, {}
        for segment in plan.segments:
            if segment.key in framed:
                still = self.folder / f"{run.segments[segment.key].media_sha256}.webp"
                if not still.exists() and monotonic() < until:
                    _write_still(still, _middle_frame(run, segment))
                if still.exists():
                    stills[segment.key] = still
        return stills

    def previews(self, run: Run, num_done: Mapping[str, int]) -> dict[str, Path]:
        """The latest preview of each segment that is begun, by key; each is looked for again after further steps.

        Of one run by one caller at a time.
        """
        previews = self._previews.setdefault(run.url, {})
        for key in previews.keys() - num_done.keys():
            previews.pop(key).path.unlink(missing_ok=True)
        for key, num in num_done.items():
            before = previews.get(key)
            if before is None or before.num_done != num:
                path = self._preview(run, key)
                if path is not None:
                    previews[key] = Preview(num, path)
                if before is not None and path not in (None, before.path):
                    before.path.unlink(missing_ok=True)
        return {key: preview.path for key, preview in previews.items()}

    def _preview(self, run: Run, key: str) -> Path | None:
        try:
            content = run.store.read(preview_name(key))
        except OSError:
            return None  # there is none yet, or the segment has just been committed
        # No other segment or run has this file, so that nobody else misses it when it goes.
        path = self.folder / f"{hashlib.sha256(run.where(key).encode() + content).hexdigest()}.webp"
        path.write_bytes(content)
        return path

    def film(self, run: Run, sha256: str) -> Path | None:
        """The run's last film, of this hash; None if another file has its name. It is read once each time it is joined.

        Of one run by one caller at a time.
        """
        found = self._films.get(run.url)
        if found is None or found.joined is not run.last_film or not (found.path is None or found.path.exists()):
            path = self._taken(run, sha256)
            self._films[run.url] = FilmFound(run.last_film, path)
            if found is not None and found.path not in (None, path):
                self._keep(found.path)
        return self._films[run.url].path

    def _taken(self, run: Run, sha256: str) -> Path | None:
        """Hashed aside, where no film that is joined meanwhile can take its place."""
        path = self.folder / f"{sha256}.mp4"
        with run.store.reading(FILM) as film, TemporaryDirectory(dir=self.folder) as folder:
            aside = Path(folder) / FILM
            _link(film, aside)
            if file_sha256(aside) != sha256:
                return None
            return aside.replace(path)

    def result(self, run: Run, name: str) -> Path:
        """A file that the run has made, which never changes."""
        of = hashlib.sha256(run.where(name).encode()).hexdigest()
        path = self.folder / of / Path(name).name
        if not path.exists():
            with run.store.reading(name) as result, published(path) as aside:
                _link(result, aside)
        return path

    def named(self, path: Path, name: str) -> Path:
        """A film or codes under the name to save them as: Gradio tells browsers that of the file."""
        named = self.folder / path.stem / name
        named.parent.mkdir(exist_ok=True)
        with suppress(FileExistsError):
            named.hardlink_to(path)
        return named

    def film_so_far(self, run: Run, plan: Plan, num_segments: int) -> Path:
        """The first segments of a film, as a film.

        Raises:
            MediaError: frames are damaged.
        """
        begun = beginning(plan, num_segments)
        path = self.folder / f"{begun.sha256}.mp4"
        if not path.exists():
            write_planned_film(path, begun, partial(segment_frames, run))
        self._keep(path)
        return path

    def tokens(self, run: Run, plan: Plan, committed: Collection[str]) -> Path:
        """Codes (t, h, w) of all committed segments, by their names, as NumPy reads them."""
        codes = {s.name: run.segments[s.key].array() for s in plan.segments if s.key in committed}
        digest = hashlib.sha256("".join(s.key for s in plan.segments if s.key in committed).encode()).hexdigest()
        path = self.folder / f"{digest}.npz"
        if not path.exists():
            with published(path) as aside:
                np.savez_compressed(aside, allow_pickle=False, **codes)
        self._keep(path)
        return path

    def _keep(self, path: Path) -> None:
        """For a while: what was asked for longest ago goes first."""
        with self._lock:
            self._kept[path] = None
            self._kept.move_to_end(path)
            while len(self._kept) > MAX_KEPT:
                old, _ = self._kept.popitem(last=False)
                old.unlink(missing_ok=True)
                shutil.rmtree(self.folder / old.stem, ignore_errors=True)


def beginning(plan: Plan, num_segments: int) -> Plan:
    """The plan of a film that ends after so many segments."""
    shots, left = [], num_segments
    for shot in plan.shots:
        segments = shot.segments[:left]
        left -= len(segments)
        if segments:
            num_frames = sum(segment.shown[1] - segment.shown[0] for segment in segments)
            shots.append(PlannedShot(shot.id, num_frames, segments))
    return replace(plan, shots=tuple(shots))


def _link(source: Path, path: Path) -> None:
    """Give a file that is never written to again a second name, or where that cannot be, a copy."""
    try:
        path.hardlink_to(source)
    except OSError:  # on another disk
        shutil.copyfile(source, path)


def _middle_frame(run: Run, segment: Segment) -> np.ndarray:
    middle = (segment.shown[0] + segment.shown[1]) // 2
    (frame,) = segment_frames(run, segment, middle, middle + 1)
    return frame


def _write_still(path: Path, frame: np.ndarray) -> None:
    """Small ones are drawn larger without blurring them twice: the browser scales."""
    image = Image.fromarray(frame)
    image.thumbnail((STILL_PX, STILL_PX), Image.Resampling.LANCZOS)
    with published(path) as aside:
        image.save(aside, format="WEBP", quality=85)
