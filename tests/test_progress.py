import io

from rich.console import Console

from ursa_ray import progress


def test_a_log_has_a_line_now_and_then_and_every_frame_is_passed_on(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY_S", -1.0)
    assert list(progress.counted(iter("abc"), 3)) == ["a", "b", "c"]
    printed = capsys.readouterr()
    assert printed.err.splitlines() == ["frame 0 of 3", "frame 1 of 3", "frame 2 of 3"]
    assert printed.out == ""


def test_a_short_export_says_nothing(capsys):
    assert list(progress.counted(iter("abc"), 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=screen, force_terminal=True))
    assert list(progress.counted(iter("abc"), 3)) == ["a", "b", "c"]
    assert "frames" in screen.getvalue()
    assert "100%" in screen.getvalue()
