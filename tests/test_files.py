import os

import pytest

from ursa_ray.files import published


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
