"""Renders as jobs of a Ray cluster: a storyboard goes to the head with its pictures and clips, and its log comes back.

All is asked of the head's dashboard, by HTTP: this machine needs neither a GPU nor a way to Ray's other ports.
"""

import asyncio
import logging
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from secrets import token_hex
from time import sleep
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen
from zipfile import ZipFile, ZipInfo

import aiohttp
from ray.exceptions import AuthenticationError, RayError
from ray.job_submission import JobStatus, JobSubmissionClient

from ursa_ray.cluster.connection import CONNECT_TIMEOUT_S, asks_for_no_token, is_loopback
from ursa_ray.errors import AssetError, CheckpointError, OptionError, ReplicaError, StopError
from ursa_ray.prepare import Prepared
from ursa_ray.storyboard import Storyboard

# Between SIGTERM and SIGKILL: Ray's own 3 s are less than our end in order may take (`interrupt`).
STOP_WAIT_S = 30

# Ray takes 100 MiB, with what a zip adds.
MAX_BYTES = 100 * 10**6

ASK_AGAIN_S = 1.0

# They tell of every upload and of every connection that ends.
CHATTERING = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")

# Where a job has its files; not at the top, where Python looks for modules: a picture may be called torch.py.
FOLDER = PurePosixPath("storyboard")


@dataclass(frozen=True)
class Submission:
    """What a job shall render.

    Attributes:
        storyboard: the file that was prepared.
        run: absolute folder or s3://bucket/prefix.
        options: of `ursa-ray render`, as words.

    Raises:
        CheckpointError: its model is on this machine alone.
        AssetError: its pictures and clips are too large for a job, or have names that lead elsewhere.
    """

    storyboard: Path
    prepared: Prepared
    run: str
    options: Sequence[str]

    def __post_init__(self) -> None:
        _require_shared_model(self.prepared)
        num_bytes = sum(path.stat().st_size for path in self.files().values())
        if num_bytes > MAX_BYTES:
            raise AssetError(
                f"{self.storyboard}: with its pictures and clips it has {num_bytes / 1e6:.0f} MB, and a job takes "
                f"{MAX_BYTES // 10**6} MB along. Put it with them into a folder that all nodes share, and: ray job "
                "submit --address http://HOST:8265 -- python -m ursa_ray render "
                f"/SHARED/{self.storyboard.name} --run ..."
            )

    def files(self) -> dict[str, Path]:
        """Storyboard, pictures and clips, by their names from the storyboard's folder."""
        return {self.storyboard.name: self.storyboard, **_assets(self.prepared.storyboard)}

    def pack(self, parcel: Path) -> None:
        """Zip the files; the same ones are the same bytes, which Ray takes once."""
        with ZipFile(parcel, "w") as packed:
            for name, path in self.files().items():
                packed.writestr(ZipInfo(str(FOLDER / name)), path.read_bytes())

    def words(self) -> list[str]:
        """The command of the job."""
        name = str(FOLDER / self.storyboard.name)
        return ["python", "-m", "ursa_ray", "render", name, "--run", self.run, *self.options]

    def metadata(self) -> dict[str, str]:
        """What the dashboard shows of the job."""
        plan = self.prepared.plan
        return {
            "title": plan.title or self.storyboard.stem,
            "storyboard": self.storyboard.name,
            "run": self.run,
            "segments": str(plan.num_segments),
            "frames": str(plan.num_frames),
        }


class Cluster:
    """The jobs of the cluster whose dashboard is at `address`, such as http://head:8265.

    Raises:
        OptionError: the address is none; or the cluster is a remote one that asks nobody for a token, which `insecure`
            allows; or it asks for another token than ours.
        ReplicaError: nobody is there, or nobody who knows of jobs.
    """

    def __init__(self, address: str, insecure: bool = False):
        self.address = address.rstrip("/")
        host = urlsplit(self.address).hostname if re.match("https?://", self.address) else None
        if host is None:
            raise OptionError(f"address is {address!r}, expected http://HOST:8265, the dashboard of the head.")
        if not self._turns_strangers_away() and not insecure and not is_loopback(host):
            raise asks_for_no_token(self.address)
        for name in CHATTERING:
            logging.getLogger(name).setLevel(logging.WARNING)
        with self._answering(), _ray_address(self.address):
            self._client = JobSubmissionClient(self.address)

    def submit(self, submission: Submission) -> str:
        """Have it rendered; the id of the job."""
        with tempfile.TemporaryDirectory() as folder:
            parcel = Path(folder) / "storyboard.zip"
            submission.pack(parcel)
            with self._answering():
                return self._client.submit_job(
                    entrypoint=f"exec {shlex.join(submission.words())}",
                    submission_id=_job_id(submission.storyboard),
                    metadata=submission.metadata(),
                    runtime_env={
                        "working_dir": str(parcel),
                        "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S)},
                    },
                )

    def follow(self, job: str, tell: Callable[[str], None]) -> int:
        """Tell every line of a job's log until it ends; its exit code.

        Raises:
            StopError: somebody stopped it.
            ReplicaError: its driver could not start or was lost, or the head is.
        """
        log = Log(tell)
        with self._answering():
            while not (found := self._client.get_job_info(job)).status.is_terminal():
                # A tunnel or proxy may close what is silent for long.
                with suppress(aiohttp.ClientError, RuntimeError):
                    asyncio.run(self._tail(job, log))
                sleep(ASK_AGAIN_S)
            log.hear(self._client.get_job_logs(job))
        log.end()
        if found.status == JobStatus.STOPPED:
            raise StopError(f"job {job} was stopped; what is committed is safe, submit again to go on")
        if found.status == JobStatus.SUCCEEDED:
            return 0
        if found.driver_exit_code is None:
            raise ReplicaError(f"job {job} failed: {found.message}")
        return found.driver_exit_code if found.driver_exit_code >= 0 else 128 - found.driver_exit_code

    async def _tail(self, job: str, log: "Log") -> None:
        at = 0
        async for text in self._client.tail_job_logs(job):
            at = log.hear(text, at)

    def _turns_strangers_away(self) -> bool:
        """Ask without a token: as with the head itself, that ours is taken proves nothing."""
        try:
            with urlopen(f"{self.address}/api/version", timeout=CONNECT_TIMEOUT_S):
                return False
        except HTTPError as refused:
            return refused.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        except (OSError, HTTPException, ValueError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise ReplicaError(
                f"no dashboard of a Ray cluster at {self.address}: {reason}. Through a tunnel (ray dashboard, kubectl "
                "port-forward) it is http://localhost:8265, for as long as that is open."
            ) from error

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Whatever goes wrong in between, in one line."""
        try:
            yield
        except AuthenticationError as error:
            raise OptionError(
                f"the Ray cluster at {self.address} asks for its token and got none, or another one. Set "
                "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or RAY_AUTH_MODE=token and have it in ~/.ray/auth_token."
            ) from error
        except (RayError, OSError, RuntimeError, ValueError, LookupError, TypeError) as error:
            words = str(error).partition("\n")[0]
            raise ReplicaError(f"the dashboard of a Ray cluster at {self.address} failed: {words}") from error


class Log:
    """What is heard of a job's log, however often from its beginning, told by the line and once."""

    def __init__(self, tell: Callable[[str], None]):
        self._tell, self._num_heard, self._line = tell, 0, ""

    def hear(self, text: str, at: int = 0) -> int:
        """Take the text that stands `at` so many characters in the log; where it ends."""
        *lines, self._line = (self._line + text[max(0, self._num_heard - at) :]).split("\n")
        self._num_heard = max(self._num_heard, at + len(text))
        for line in lines:
            self._tell(line)
        return at + len(text)

    def end(self) -> None:
        if self._line:
            self._tell(self._line)


@contextmanager
def _ray_address(address: str) -> Iterator[None]:
    """Ray prefers what its environment says to what it is told: for so long, it says the same."""
    name = "RAY_API_SERVER_ADDRESS"
    before = os.environ.get(name)
    os.environ[name] = address
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _require_shared_model(prepared: Prepared) -> None:
    model = prepared.storyboard.model
    if Path(prepared.checkpoint.name).is_absolute() and not Path(model).is_absolute():
        raise CheckpointError(
            f"{prepared.storyboard.where('model')}: the folder {model!r} is on this machine alone. Expected tiny, an "
            "absolute folder that all nodes share, or an id such as BAAI/URSA-1.7B-FSQ320."
        )


def _assets(storyboard: Storyboard) -> dict[str, Path]:
    """The files that a storyboard names, by these names."""
    found: dict[str, Path] = {}
    for number, shot in enumerate(storyboard.shots):
        name, path = shot.image or shot.video, storyboard.asset_path(shot)
        if name is not None and path is not None:
            if ".." in PurePosixPath(name).parts or "\\" in name:
                where = storyboard.where("shots", number, "image" if shot.image else "video")
                raise AssetError(f"{where}: {name!r} cannot go with a job. Name it without '..' and '\\'.")
            found[str(PurePosixPath(name))] = path
    return found


def _job_id(storyboard: Path) -> str:
    """Tells which film and when; never given twice, which Ray refuses."""
    name = re.sub("[^A-Za-z0-9_-]+", "-", storyboard.stem)[:40]
    return f"ursa-{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(2)}"
