import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.checkpoint.hub_server import COMMIT, serving
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.checkpoint.hub import TINY
from ursa_ray.errors import CheckpointError

# The hub's library reads its settings when it is imported, so each case has a process of its own.
SCRIPT = """
import json, sys
from ursa_ray.checkpoint import open_checkpoint
from ursa_ray.errors import CheckpointError
for name, fetch in json.loads(sys.argv[1]):
    try:
        checkpoint = open_checkpoint(name, fetch=fetch)
        print("opened", checkpoint.folder, checkpoint.weights_sha256())
    except CheckpointError as error:
        print("refused", " ".join(str(error).split()))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """What a repository holds beside the model: code, a card, pictures."""
    folder = shutil.copytree(TINY, tmp_path_factory.mktemp("hub") / "model", copy_function=shutil.copyfile)
    (folder / "README.md").write_text("a card")
    (folder / "transformer" / "diffnext.py").write_text("raise SystemExit('this must not run')")
    (folder / "teaser.png").write_bytes(b"a picture")
    return folder


@pytest.fixture(scope="module")
def hub(model):
    with serving(model) as hub:
        yield hub


@pytest.fixture
def home(tmp_path):
    return tmp_path / "huggingface"


def opening(home, *calls, url=None):
    """One line for each call of (name, fetch), all in one process; without a `url` it is offline."""
    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    env |= {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    env |= {"HF_HUB_OFFLINE": "1"} if url is None else {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": url}
    command = [sys.executable, "-c", SCRIPT, json.dumps(calls)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_model_is_downloaded_once_without_code_and_then_found_offline(hub, home):
    hub.downloaded.clear()
    sha256 = open_checkpoint("tiny").weights_sha256()
    online = opening(home, ("org/model", True), ("org/model", True), url=hub.url)
    assert [line.split()[0] for line in online] == ["opened", "opened"]
    assert sorted(hub.downloaded) == sorted(p.relative_to(TINY).as_posix() for p in TINY.rglob("*") if p.is_file())
    offline = opening(home, ("org/model", False), (f"org/model@{COMMIT}", False), ("org/model", True))
    assert [line.split()[0] for line in offline] == ["opened"] * 3
    assert {line.split()[2] for line in online + offline} == {sha256}


@pytest.mark.parametrize("lost", ["vae", "tokenizer", "model_index.json"])
def test_a_partial_download_is_completed_where_there_is_a_hub(hub, home, lost):
    opening(home, ("org/model", True), url=hub.url)
    place = next(home.rglob("snapshots/*")) / lost
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    offline, online = (
        opening(home, ("org/model", False)),
        opening(home, ("org/model", True), url=hub.url),
    )
    assert offline == ["refused model 'org/model' is not on this machine. Fetch it first: hf download org/model"]
    assert online[0].startswith("opened")


def test_a_partial_download_without_a_listing_counts_as_none(home):
    """As older versions of the hub's library leave it: some files, and nothing to tell which are missing."""
    snapshot = home / "hub" / "models--BAAI--URSA-1.7B-FSQ320" / "snapshots" / COMMIT
    shutil.copytree(TINY, snapshot, copy_function=shutil.copyfile)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(COMMIT)
    complete = opening(home, ("BAAI/URSA-1.7B-FSQ320", False))
    assert complete[0].split()[:2] == ["opened", str(snapshot)]
    shutil.rmtree(snapshot / "transformer")
    (snapshot / "vae" / "config.json").unlink()
    partial = opening(home, ("BAAI/URSA-1.7B-FSQ320", False), ("BAAI/URSA-1.7B-FSQ320", True))
    assert partial[0].split()[:2] == ["opened", "None"]
    assert partial[1] == (
        f"refused {snapshot}: has no transformer/config.json, no vae/config.json, no transformer weights. "
        "Either BAAI/URSA-1.7B-FSQ320 is not an URSA checkpoint, or its download was interrupted; "
        "where there is internet access: hf download BAAI/URSA-1.7B-FSQ320"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "org/gated",
            "model 'org/gated' is gated. Accept its terms at https://huggingface.co/org/gated, "
            "then: hf auth login && hf download org/gated",
        ),
        (
            "org/missing",
            "model 'org/missing' is neither a folder nor on the hub. Check the spelling; "
            "if it is private: hf auth login",
        ),
        (
            "org/private",
            "model 'org/private' is neither a folder nor on the hub. Check the spelling; "
            "if it is private: hf auth login",
        ),
        ("org/model@v9", "model 'org/model' has no revision 'v9' on the hub."),
        (
            "org/broken",
            "model 'org/broken' could not be fetched (peer closed connection without sending complete message body "
            "(received 1 bytes, expected 100)). What has arrived is kept; go on with: hf download org/broken",
        ),
    ],
)
def test_what_the_hub_refuses_says_what_to_do(hub, home, name, message):
    assert opening(home, (name, True), url=hub.url) == [f"refused {message}"]


def test_without_a_hub_the_download_command_is_given(home):
    expected = (
        "refused model '{0}' is not on this machine and the hub cannot be reached. Where there is internet access: "
    )
    offline = opening(home, ("org/model", True), ("BAAI/URSA-1.7B-FSQ320@v1", True))
    assert offline == [
        expected.format("org/model") + "hf download org/model",
        expected.format("BAAI/URSA-1.7B-FSQ320@v1") + "hf download BAAI/URSA-1.7B-FSQ320 --revision v1",
    ]


def test_a_hub_that_does_not_answer_is_like_none(home):
    (line,) = opening(home, ("org/model", True), url="http://127.0.0.1:9")
    assert line.endswith("the hub cannot be reached. Where there is internet access: hf download org/model")


def test_a_model_that_nobody_knows_is_not_planned_with():
    with pytest.raises(
        CheckpointError, match=r"^model 'org/model' is not on this machine\. Fetch it first: hf download"
    ):
        open_checkpoint("org/model")


@pytest.mark.parametrize("fetch", [False, True])
@pytest.mark.parametrize("name", ["org..x/model", "org--x/model", "-org/model", "\xe9/model"])
def test_a_name_that_the_hub_cannot_have_is_refused(name, fetch):
    with pytest.raises(CheckpointError, match=r"is neither a folder nor a hub id: "):
        open_checkpoint(name, fetch=fetch)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("~nosuchuser/x", "Could not determine home directory."),
        ("a" * 256, "File name too long"),
        ("/".join(["a" * 200] * 30), "File name too long"),
    ],
)
def test_a_name_that_no_folder_can_have_is_refused_in_one_line(name, why):
    with pytest.raises(CheckpointError, match=re.escape(f"no folder can be looked for there ({why})")) as refused:
        open_checkpoint(name)
    assert "Expected tiny, a folder, or an id such as" in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("name", ["tinny", "a/b/c", "./a/b", "/nowhere/at/all", "~/nothing", "a/b@"])
def test_a_name_that_is_no_hub_id_is_a_folder_that_is_missing(name):
    with pytest.raises(
        CheckpointError, match=r"there is no folder .*, and it is not a hub id\. Expected tiny, a folder"
    ):
        open_checkpoint(name)
