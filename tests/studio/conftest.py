"""One studio and one browser for all tests: a process as users start it, and Debian's Chromium."""

import os
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import Process, kill
from tests.storyboards import TWO_SHOTS, write

STORYBOARDS = Path(__file__).parent.parent.parent / "storyboards"

# No name leads anywhere but to this machine, whatever the page asks for.
NOWHERE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
MAX_UPLOAD_MB = 55


@dataclass
class Studio:
    address: str
    runs: Path
    process: Process


# Of a module and no longer: as long as Playwright lasts, an event loop runs here, and no test can run one of its own.
@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium; apt-get install chromium")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[NOWHERE, *sandbox])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory, goldens_folder):
    """A studio with the storyboards of the package, a short one, and a run that was made elsewhere."""
    folder = tmp_path_factory.mktemp("studio")
    examples = folder / "storyboards"
    shutil.copytree(STORYBOARDS, examples)
    quickstart = (STORYBOARDS / "quickstart.yaml").read_text()
    write(examples, quickstart.replace("seed: 7", "seed: 7, steps: 8"), "quickstart.yaml")
    write(examples, TWO_SHOTS, "brief.yaml")
    write(examples, TWO_SHOTS.replace("steps: 4", "steps: 60"), "lasting.yaml")
    port = free_port()
    process = Process(
        folder,
        "studio",
        f"--port={port}",
        f"--runs={folder / 'runs'}",
        f"--storyboards={examples}",
        f"--open={goldens_folder}",
        f"--max-upload-mb={MAX_UPLOAD_MB}",
    )
    assert "The studio is at" in process.stdout.readline()
    yield Studio(f"http://127.0.0.1:{port}/", folder / "runs", process)
    process.send_signal(signal.SIGINT)
    said = process.end()
    end_family(process)
    assert "Traceback" not in said, said


@pytest.fixture(scope="module")
def goldens_folder(tmp_path_factory):
    """A finished run of another machine."""
    source = Path(__file__).parent.parent / "goldens" / "runs" / "0.1.0"
    folder = tmp_path_factory.mktemp("elsewhere") / "golden"
    shutil.copytree(source, folder)
    return folder


@pytest.fixture
def visit(chromium, studio):
    """Open the studio as one more person; whatever anybody's page asks for, it asks of the studio alone."""
    contexts, requests = [], []

    def open_page(film=None, **look):
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | look))
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.goto(studio.address + (f"?film={film}" if film else ""))
        page.wait_for_selector("#status [data-phase]")  # it shows a film: the one asked for, or the first
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert len(requests) > 10
    assert [url for url in requests if not url.startswith((studio.address, "data:", "blob:"))] == []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_family(process):
    """Renders outlive their studio; those that a test has left end here."""
    until = time.monotonic() + 20
    while (left := process.family()) and time.monotonic() < until:
        kill(left)
        time.sleep(0.1)
