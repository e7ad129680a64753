"""From the committed segments of a shot to a file of its own, while others are still being made.

A file is known to be whole by its hash, which the ledger has under the hash of the shot's own plan.
"""

import posixpath
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from ursa_ray import __version__
from ursa_ray.files import file_sha256, sweep_beside
from ursa_ray.interrupt import uninterrupted
from ursa_ray.join import segment_frames, write_planned_film
from ursa_ray.ledger import Commit, Run, Store
from ursa_ray.listener import Listener
from ursa_ray.media import Read, cut_film, write_still
from ursa_ray.plan import Plan, PlannedShot, Segment
from ursa_ray.provenance import Encoded, Provenance, versions
from ursa_ray.sampling.samples import Sample

# A PNG of 1024x1024 takes a third of a second of a core, and so do its frames to be read.
NUM_WRITING = 4

# Hashing leaves Python's lock alone, and of files in a bucket most of the time is waiting for them.
NUM_READING = 16

Arrived = Callable[[str, str], None]

# Entries of the log take time to read; one that is lost with a killed process costs so many files, not segments.
NOTE_EVERY = 32


class Delivery(Listener):
    """Writes the files of shots into `out` for as long as the context lasts; told of segments as a render's listener.

    `paths` has those of every shot, relative to `out`, and `samples` what it was asked for with. Only missing and
    damaged ones are written. `arrived` is called with the path and the sha256 of each file that is there, also from
    other threads. What goes wrong with files is raised at the end, when all others are written.
    """

    def __init__(
        self,
        plan: Plan,
        run: Run,
        out: Store,
        paths: Mapping[str, Sequence[str]],
        samples: Mapping[str, Sample],
        arrived: Arrived = lambda path, sha256: None,
    ):
        self._plan, self._run, self._out, self._paths, self._arrived = plan, run, out, paths, arrived
        self._samples = samples
        self._hashes = {shot.id: plan.of(shot).sha256 for shot in plan.shots}
        self._lacking = self._find_lacking()
        self._shots = {shot.id: shot for shot in plan.shots if shot.id in self._lacking}
        self._writing: dict[Future[str], str] = {}
        self._errors: list[BaseException] = []

    @property
    def spared(self) -> set[str]:
        """Keys of the segments whose frames nobody needs: those of shots whose files are there."""
        return {s.key for shot in self._plan.shots if shot.id not in self._shots for s in shot.segments}

    def __enter__(self) -> Self:
        framed = self._run.framed()
        self._frameless = {name: {s.key for s in shot.segments} - framed for name, shot in self._shots.items()}
        self._pool = ThreadPoolExecutor(NUM_WRITING, "delivery")
        for name in self._paths.keys() - self._shots.keys():
            self._tell(name, self._run.samples[self._hashes[name]])
        for name in [name for name, keys in self._frameless.items() if not keys]:
            self._begin(name)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        is_interrupted = kind is not None and not issubclass(kind, Exception)
        self._pool.shutdown(cancel_futures=is_interrupted)
        self._note()
        if kind is None and self._errors:
            raise self._errors[0]

    def framed(self, segment: Segment) -> None:
        keys = self._frameless.get(segment.shot)
        if keys is not None:
            keys.discard(segment.key)
            if not keys:
                self._begin(segment.shot)
        if sum(future.done() for future in self._writing) >= NOTE_EVERY:
            self._note()

    def _begin(self, name: str) -> None:
        del self._frameless[name]
        self._writing[self._pool.submit(self._write, self._shots[name])] = name

    def _write(self, shot: PlannedShot) -> str:
        """In a thread of the pool: the files of a shot, and their hash."""
        sample, sha256 = self._samples[shot.id], ""
        film = replace(self._plan.of(shot), title=sample.prompt)
        for path in self._lacking[shot.id]:
            folder, name = posixpath.split(path)
            with self._out.writing(folder) as local:
                sweep_beside(local / name)
                write_result(local / name, film, partial(segment_frames, self._run), sample.seed)
                sha256 = file_sha256(local / name)
        self._tell(shot.id, sha256)
        return sha256

    def _tell(self, name: str, sha256: str) -> None:
        for path in self._paths[name]:
            self._arrived(path, sha256)

    def _note(self) -> None:
        """Put into the ledger what was written since; in the thread of the render."""
        done = [future for future in self._writing if future.done()]
        files = {}
        for future in done:
            name = self._writing.pop(future)
            if future.cancelled():
                continue
            if (error := future.exception()) is not None:
                self._errors.append(error)
            else:
                files[self._hashes[name]] = future.result()
        if files:
            with uninterrupted():
                self._run.commit(Commit("samples", self._plan.sha256, version=__version__, files=files))

    def _find_lacking(self) -> dict[str, list[str]]:
        """Paths of missing and damaged files of each shot that has such."""
        places = [(shot, path) for shot, paths in self._paths.items() for path in paths]
        with ThreadPoolExecutor(NUM_READING, "reading") as pool:
            found = list(pool.map(self._is_there, *zip(*places, strict=True)))
        lacking: dict[str, list[str]] = {}
        for (shot, path), is_there in zip(places, found, strict=True):
            if not is_there:
                lacking.setdefault(shot, []).append(path)
        return lacking

    def _is_there(self, shot: str, path: str) -> bool:
        sha256 = self._run.samples.get(self._hashes[shot])
        return sha256 is not None and self._out.sha256(path) == sha256


def write_result(path: Path, film: Plan, read: Read, seed: int) -> None:
    """Publish a shot's frames, as PNG the only one, else as a film; either says what it is made of."""
    if path.suffix == ".png":
        ((_, frame),) = cut_film(film, read)
        encoded = Encoded("png", film.width, film.height, film.fps, film.num_frames)
        made = Provenance(film, (0,), encoded, versions(is_film=False), seed)
        write_still(path, frame, film.title, made.to_comment())
    else:
        write_planned_film(path, film, read, seed)
