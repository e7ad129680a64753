import os
import subprocess
import sys

import pytest

from ursa_ray.files import published, sweep_beside


def test_a_file_appears_only_when_the_block_has_ended(tmp_path):
    path = tmp_path / "deep" / "file"
    with published(path) as aside:
        aside.write_bytes(b"whole")
        assert not path.exists()
        assert aside.name == path.name
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["file"]


def test_an_error_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), published(path) as aside:
        aside.write_bytes(bytes(1 // 0))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_else_is_written_aside_goes_away(tmp_path):
    with published(tmp_path / "file") as aside:
        aside.write_bytes(b"whole")
        aside.with_suffix(".notes").write_bytes(b"notes")
    assert os.listdir(tmp_path) == ["file"]


def test_the_file_is_on_the_disk_before_its_name_and_its_name_before_the_end(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("replace"), replace(a, b)))
    with published(tmp_path / "file") as aside:
        aside.write_bytes(b"whole")
    assert events == [str(aside), "replace", str(tmp_path)]


def killed_while_publishing(path, after):
    """A process that ends at once while it replaces a folder: before the old one goes, or once it has gone."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ursa_ray.files import published\n"
        "replace = os.replace\n"
        "os.replace = lambda *names: (replace(*names), os._exit(9))\n"
        "with published(Path(sys.argv[1])) as aside:\n"
        "    aside.mkdir()\n"
        "    if sys.argv[2] == 'writing':\n"
        "        os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, path, after], check=False).returncode == 9


@pytest.mark.parametrize("after", ["writing", "moving the old one"])
def test_what_a_killed_process_left_aside_of_a_path_is_swept_and_nothing_of_others(tmp_path, after):
    (tmp_path / "frames").mkdir()
    killed_while_publishing(tmp_path / "frames", after)
    killed_while_publishing(tmp_path / "other", "writing")
    assert (tmp_path / "frames").exists() == (after == "writing")
    with published(tmp_path / "frames") as aside:
        aside.mkdir()
    sweep_beside(tmp_path / "frames")
    names = sorted(os.listdir(tmp_path))
    assert (len(names), names[1]) == (2, "frames")
    assert os.listdir(tmp_path / names[0]) == ["other"]


def test_an_error_of_the_disk_names_the_file_that_was_asked_for(tmp_path):
    with (
        pytest.raises(OSError, match="No space left on device") as full,
        published(tmp_path / "file"),
        open("/dev/full", "wb", buffering=0) as disk,
    ):
        disk.write(b"whole")
    assert full.value.filename == str(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as taken, published(tmp_path / "folder") as aside:
        aside.write_text("whole")
    assert taken.value.filename == str(tmp_path / "folder")


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as missing, published(tmp_path / "file"):
        (tmp_path / "nowhere").read_bytes()
    assert missing.value.filename == str(tmp_path / "nowhere")
