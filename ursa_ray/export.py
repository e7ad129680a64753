"""The film of a finished run again: in another codec, size or frame rate.

Its frames come from the run's media folder, and where a segment's are gone, from its codes, which takes the model.
Nothing is written into the run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import numpy as np

from ursa_ray.errors import OptionError, RenderError
from ursa_ray.files import require_folder, sweep_beside
from ursa_ray.known import filmed_run
from ursa_ray.ledger import Commit, Run
from ursa_ray.media import (
    MAX_PICTURE_PX,
    Codec,
    VideoInfo,
    Watch,
    cut_film,
    exactly,
    nearest_frames,
    num_retimed,
    read_mezzanine,
    require_encoder,
    resized,
    unwatched,
    write_film,
)
from ursa_ray.plan import Plan, Segment
from ursa_ray.provenance import Encoded, Provenance, noting, versions
from ursa_ray.wording import count_of

if TYPE_CHECKING:
    from ursa_ray.work import Worker


@dataclass(frozen=True)
class ExportOptions:
    """What to write of a run, and where.

    Attributes:
        crf: None for the storyboard's with h264, and for the codec's own else.
        size: (width, height); None for the film's.
        fps: None for the film's; another needs `retime`.
        retime: "nearest" keeps the duration, so frames come again or fall away; "speed" keeps the frames.
        device: that codes are decoded on where frames are gone; None for what there is.
        overwrite: whether `out` may be replaced.
        provenance: whether the film says how it was made.
    """

    run: str
    out: Path
    codec: Codec
    crf: int | None = None
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    retime: Literal["nearest", "speed"] | None = None
    device: str | None = None
    overwrite: bool = False
    provenance: bool = True


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        decoded_segments: those whose frames came from codes.
        differing_segments: those of them whose frames are not the film's, which were decoded on another device.
    """

    path: Path
    codec: str
    film: VideoInfo
    sha256: str
    size_bytes: int
    decoded_segments: int
    differing_segments: int


def export(options: ExportOptions, watch: Watch = unwatched) -> Exported:
    """Write the film that the run's last plan asks for, and remove what a killed export to the same place left aside.

    Raises:
        OptionError: the run is not finished, or the options cannot be had; nothing is written.
        LedgerError: the run is damaged.
        CheckpointError, RenderError, OutputError: codes must be decoded, and the model is not to be had, fails, or
            makes another number of frames of them.
        MediaError: frames are damaged, or ffmpeg made something other than was planned; an older export stays.
    """
    run, plan = filmed_run(options.run)
    _require_finished(run, plan)
    film = _planned(plan, options)
    codec = _quality(options, plan)
    if (misfit := codec.misfit(film)) is not None:
        raise OptionError(f"{options.out}: {misfit}. Give another --codec, --size or --fps.")
    _require_free(options, run)
    require_encoder(codec.encoder, f"codec {codec.name}")
    encoded = Encoded(codec.name, film.width, film.height, film.fps, film.num_frames, options.retime)
    with TemporaryDirectory(prefix="ursa-ray-") as scratch:
        source = _Frames(plan, run, options.device, Path(scratch))
        report = write_film(
            options.out,
            watch(_fitted(source.shown(), plan, film, options.retime), film.num_frames),
            film.num_frames,
            (film.width, film.height),
            film.fps,
            codec,
            metadata={"title": plan.title} if plan.title else {},
            comment=(lambda: source.provenance(encoded).to_comment()) if options.provenance else None,
        )
    sweep_beside(options.out)
    return Exported(
        options.out, codec.name, film, report.sha256, report.size_bytes, source.num_decoded, source.num_differing
    )


def _require_finished(run: Run, plan: Plan) -> None:
    num_missing = sum(segment.key not in run.segments for segment in plan.segments)
    if num_missing:
        raise OptionError(
            f"{run.url}: {num_missing} of {count_of(plan.num_segments, 'segment')} are not rendered yet. "
            f"Render on, then export: ursa-ray render STORYBOARD --run {run.url}"
        )


def _planned(plan: Plan, options: ExportOptions) -> VideoInfo:
    """What the export will be."""
    width, height = (plan.width, plan.height) if options.size is None else options.size
    across, down = Fraction(width, plan.width), Fraction(height, plan.height)
    if not 1 <= width * height <= MAX_PICTURE_PX:
        raise OptionError(f"--size {width}x{height} is out of range; expected 1 to {MAX_PICTURE_PX} pixels.")
    # Whole, and for some codecs even, numbers are rarely in the exact proportion.
    if min(abs(height - across * plan.height), abs(width - down * plan.width)) > 1:
        raise OptionError(
            f"--size {width}x{height} would stretch a film of {plan.width}x{plan.height}. "
            f"Give {width}x{round(across * plan.height)} or {round(down * plan.width)}x{height}."
        )
    fps = plan.fps if options.fps is None else options.fps
    if options.retime is None and fps != plan.fps:
        raise OptionError(
            f"the film has {plan.fps} frames a second, not {fps}. Say how to get there: --retime nearest keeps the "
            "duration (frames come again or fall away), --retime speed keeps the frames (they play faster or slower)."
        )
    if options.retime is not None and options.fps is None:
        raise OptionError(f"--retime {options.retime} needs a frame rate. Give --fps, or leave --retime out.")
    is_new = options.retime == "nearest"
    return VideoInfo(width, height, fps, num_retimed(plan.num_frames, plan.fps, fps) if is_new else plan.num_frames)


def _quality(options: ExportOptions, plan: Plan) -> Codec:
    if options.crf is not None:
        return options.codec.with_crf(options.crf)
    return options.codec.with_crf(plan.crf) if options.codec.name == "h264" else options.codec


def _require_free(options: ExportOptions, run: Run) -> None:
    """Refuse to write into the run, where nothing can be written, and to replace anything that is not meant."""
    out = options.out
    if out.resolve().is_relative_to(run.store.anywhere):
        raise OptionError(f"{out}: is inside the run {run.url}, which keeps to itself. Give an --out elsewhere.")
    require_folder(out.parent)
    if not out.exists() and not out.is_symlink():
        return
    if not options.overwrite:
        raise OptionError(f"{out}: is there already. Give another --out, or --overwrite to replace it.")
    if out.is_dir() != options.codec.is_folder or out.is_symlink():
        kind = "a link" if out.is_symlink() else "a folder" if out.is_dir() else "no folder"
        raise OptionError(f"{out}: is {kind}, which {options.codec.name} does not replace. Give another --out.")
    if out.is_dir():
        others = sorted(path.name for path in out.iterdir() if not re.fullmatch(r"\d{6,}\.png", path.name))
        if others:
            raise OptionError(f"{out}: holds {others[0]}, which is not of an export. Give another --out.")


def _fitted(frames: Iterator[np.ndarray], plan: Plan, film: VideoInfo, retime: str | None) -> Iterator[np.ndarray]:
    fitted = exactly(frames, plan.num_frames, (plan.height, plan.width, 3))
    if (film.width, film.height) != (plan.width, plan.height):
        fitted = resized(fitted, film.width, film.height)
    return nearest_frames(fitted, plan.num_frames, plan.fps, film.fps) if retime == "nearest" else fitted


class _Frames:
    """The frames of a film, one segment after another; the model is loaded for the first whose frames are gone."""

    def __init__(self, plan: Plan, run: Run, device: str | None, scratch: Path):
        self.num_decoded = self.num_differing = 0
        self._plan, self._run, self._device, self._scratch = plan, run, device, scratch
        self._framed = run.framed()
        self._worker: tuple[str | None, Worker] | None = None
        self._starts: list[int] = []

    def shown(self) -> Iterator[np.ndarray]:
        return noting(cut_film(self._plan, self._read), self._starts)

    def provenance(self, encoded: Encoded) -> Provenance:
        """Once all frames were shown."""
        return Provenance(self._plan, tuple(self._starts), encoded, versions())

    def _read(self, segment: Segment, start: int, stop: int) -> Iterator[np.ndarray]:
        if segment.key in self._framed:
            with self._run.mezzanine(segment.key) as path:
                yield from read_mezzanine(path, start, stop)
        else:
            path = self._decoded(segment)
            yield from read_mezzanine(path, start, stop)
            path.unlink()

    def _decoded(self, segment: Segment) -> Path:
        """The segment's frames as the render wrote them, in the scratch folder."""
        import torch  # which most exports do without

        from ursa_ray.exchange import Done, Request

        commit = self._run.segments[segment.key]
        try:
            worker = self._worker_like(commit)
            # Another number of threads can round to other frames than the film's.
            torch.set_num_threads(commit.num_threads or 1)
            (done,) = worker.run(Request(segment, self._plan.fps, codes=commit.array()))
        except RuntimeError as error:  # torch reports a full GPU so
            raise RenderError(f"{segment.name}: its codes cannot be decoded: {error}. Try --device cpu.") from error
        assert isinstance(done, Done), done
        self.num_decoded += 1
        self.num_differing += done.frames_sha256 != commit.media_sha256
        return self._scratch / "media" / f"{done.frames_sha256}.mkv"

    def _worker_like(self, commit: Commit) -> "Worker":
        """With the dtype of a commit that was made on such a device: another one rounds to other frames."""
        from ursa_ray.exchange import WorkerOptions
        from ursa_ray.model import choose_device
        from ursa_ray.work import Worker

        is_alike = (commit.device == "cpu") == (choose_device(self._device).type == "cpu")
        dtype = commit.dtype.removeprefix("torch.") if is_alike and commit.dtype else None
        if self._worker is None or self._worker[0] != dtype:
            model, weights_sha256 = self._plan.model, self._plan.weights_sha256
            options = WorkerOptions(model, weights_sha256, str(self._scratch), self._device, dtype=dtype)
            self._worker = dtype, Worker(options)
        return self._worker[1]
