"""A film in a bucket is explained, measured and reported as one in a folder is."""

import json

from tests.ledger.test_storyboard_kept import ONE_SHOT
from tests.test_render import plan_of, render_into
from ursa_ray.html_report import page


def test_a_run_in_a_bucket_has_a_report_measures_and_explanations(bucket, tmp_path, run_command, monkeypatch):
    url = f"{bucket}/films/x"
    render_into(url, plan_of(tmp_path, ONE_SHOT))
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_command("report", url, "--json")
    said = json.loads(out.splitlines()[-1])
    assert (code, said["path"], said["has_film"]) == (0, "x.html", True)
    assert "data:video/mp4;base64," in (tmp_path / "x.html").read_text()
    monkeypatch.setattr(page, "MAX_FILM_BYTES", 1000)
    assert run_command("report", url, "--no-measures", "--out", "large.html")[0] == 0
    assert 'src="large.mp4"' in (tmp_path / "large.html").read_text()
    assert (tmp_path / "large.mp4").stat().st_size > 1000
    code, out, _ = run_command("explain", f"{url}@250ms", "--json")
    found = json.loads(out.splitlines()[-1])
    assert (found["is_exact"], found["instant"]["segment"]) == (True, "dawn[0]")
    assert found["instant"]["made"]["device"] == "cpu"
