"""A corpus of bad storyboards through the command line, all in one process, which they neither slow, fill nor break."""

import json
import re
import subprocess
import sys

import pytest

from tests.storyboard.boards import marked_line, write
from tests.storyboard.corpus import CORPUS, lay_out
from tests.storyboard.test_bad_storyboards import BAD

ALL = {**BAD, **CORPUS}
MAX_S, MAX_BYTES = 2, 300 * 10**6

# Plans every file that standard input names; for each a line: exit code, output, complaint, seconds. Then the peak of
# memory as Linux has it; ru_maxrss would be that of the process that started this one, if that is larger.
PLAN_ALL = """
import contextlib, io, json, pathlib, re, sys, time
from ursa_ray.cli import main
for path in sys.stdin.read().splitlines():
    out, err, code, start = io.StringIO(), io.StringIO(), None, time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(["plan", path])
        except SystemExit as leaving:
            code = leaving.code
        except BaseException as error:
            code = repr(error)
    print(json.dumps([code, out.getvalue(), err.getvalue(), time.monotonic() - start]))
status = pathlib.Path("/proc/self/status")
print(json.dumps(1024 * int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1]) if status.exists() else 0))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What became of each storyboard of the corpus, and the peak of memory."""
    folder = tmp_path_factory.mktemp("corpus") / "films"
    folder.mkdir()
    lay_out(folder)
    files = [write(folder, text).rename(folder / f"{i}.yaml") for i, (text, *_) in enumerate(ALL.values())]
    names = "\n".join(map(str, files))
    done = subprocess.run([sys.executable, "-c", PLAN_ALL], input=names, capture_output=True, text=True, check=True)
    *lines, peak = map(json.loads, done.stdout.splitlines())
    return dict(zip(ALL, zip(files, lines, strict=True), strict=True)), peak


@pytest.mark.parametrize("name", ALL)
def test_a_bad_storyboard_gets_one_message_with_its_line_in_time(outcomes, name):
    text, *words = ALL[name]
    file, (code, out, err, seconds) = outcomes[0][name]
    assert (code, out) == (2, "")
    assert err.startswith(f"ursa-ray: {file}:{marked_line(text)}: ")
    assert err.count("\n") == 1
    assert [word for word in words if word not in err] == []
    assert re.search(r"Traceback|pydantic|validation error|<class|object at", err) is None
    assert seconds < MAX_S


def test_all_bad_storyboards_together_fit_into_memory(outcomes):
    assert outcomes[1] < MAX_BYTES


def test_the_corpus_has_at_least_300_different_storyboards():
    assert len({text for text, *_ in ALL.values()}) >= 300
