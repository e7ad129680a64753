"""Serves the studio: to this machine alone unless asked, with all that it needs, and nothing from elsewhere."""

import hmac
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from errno import EADDRINUSE
from ipaddress import ip_address
from pathlib import Path
from socket import SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, getaddrinfo, socket
from tempfile import TemporaryDirectory

from ursa_ray.errors import OptionError
from ursa_ray.ledger import Run
from ursa_ray.studio.desk import Desk
from ursa_ray.studio.guard import LOCAL_NAMES

MAX_UPLOAD_MB = 200


@dataclass(frozen=True)
class StudioOptions:
    """Where to serve, and what.

    Attributes:
        password: that the page asks for; needed on an address that other machines reach.
        runs: folder of the runs, and of what the studio keeps of its own (`.studio`).
        storyboards: folder of the examples.
        opened: a run elsewhere, a folder or s3://bucket/prefix.
        making: options of the commands that it begins, such as --replicas=4.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    password: str | None = None
    runs: Path = Path("renders")
    storyboards: Path = Path("storyboards")
    opened: str | None = None
    max_upload_mb: int = MAX_UPLOAD_MB
    making: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.is_local and not self.password:
            raise OptionError(
                f"--host {self.host}: whoever reaches the studio there could render on this machine. Give a "
                "--password-file too, or leave --host out and reach it through an ssh tunnel."
            )

    @property
    def is_local(self) -> bool:
        """Whether no other machine reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def name(self) -> str:
        """The host as addresses name it: http://[::1]:7860."""
        try:
            address = ip_address(self.host)
        except ValueError:
            return self.host
        return f"[{address}]" if address.version == 6 else str(address)

    @property
    def names(self) -> frozenset[str] | None:
        """Those under which it answers; None for all."""
        return LOCAL_NAMES | {self.name} if self.is_local else None


def serve(options: StudioOptions, tell: Callable[[str], None]) -> None:
    """Serve until interrupted; `tell` is given the address once it answers.

    Raises:
        OptionError: the port is taken, the address is not one of this machine, or there is no run to open.
        LedgerError: that run is damaged.
        OSError: a folder cannot be written.
    """
    _require_free(options)
    if options.opened is not None:
        _require_run(options.opened)
    with TemporaryDirectory(prefix="ursa-ray-studio-") as scratch:
        uploads, shown = Path(scratch) / "uploads", Path(scratch) / "shown"
        _restrain_gradio(uploads)
        from ursa_ray.studio.page import build, launch_options

        desk = Desk(options.runs, options.storyboards, shown, options.opened, options.making)
        page = build(desk).queue(default_concurrency_limit=16, max_size=64, api_open=False)
        _, address, _ = page.launch(
            server_name=options.name,
            server_port=options.port,
            auth=None if options.password is None else _asking(options.password),
            auth_message="Any user name will do. The password is that of the studio's --password-file.",
            max_file_size=f"{options.max_upload_mb}mb",
            allowed_paths=[str(shown)],
            prevent_thread_lock=True,
            **launch_options(options.names),
        )
        tell(address)
        try:
            threading.Event().wait()
        finally:
            page.close(verbose=False)


def _require_free(options: StudioOptions) -> None:
    """Asked before Gradio is, which tells neither apart and names options that the studio does not have."""
    try:
        family, kind, _, _, address = getaddrinfo(options.host, options.port, type=SOCK_STREAM)[0]
        with socket(family, kind) as probe:
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # what lingers of a studio that has just ended is no bar
            probe.bind(address)
    except OSError as error:
        if error.errno == EADDRINUSE:
            raise OptionError(f"--port {options.port} is taken. Give another --port.") from error
        raise OptionError(
            f"--host {options.host} --port {options.port}: cannot be served on ({error.strerror}). Give others."
        ) from error


def _require_run(opened: str) -> None:
    try:
        Run.open(opened)
    except OptionError as error:
        raise OptionError(f"--open {error}") from error


def _restrain_gradio(uploads: Path) -> None:
    """Its settings that are read from the environment when it is imported; it tells nobody that it runs."""
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_SHARE": "False"}
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)


def _asking(password: str) -> Callable[[str, str], bool]:
    """Any user name will do; the comparison takes as long whatever is wrong."""
    return lambda user, given: hmac.compare_digest(given.encode(), password.encode())
