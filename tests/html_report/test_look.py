"""The report as a browser lays it out."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from ursa_ray.measured import COLUMNS

RIGHT_EDGES = (
    "() => [...document.querySelectorAll('#segments th')].map(h => [h.textContent, h.getBoundingClientRect().right])"
)


@pytest.mark.browser
def test_all_measures_of_a_segment_are_in_sight_in_a_window_of_1200_px(run_command, goldens, tmp_path):
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium; apt-get install chromium")
    run = shutil.copytree(goldens / "runs" / "0.1.0", tmp_path / "run")
    assert run_command("report", run)[0] == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        for width in (1200, 400):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.goto(f"file://{tmp_path / 'run.html'}")
            rights = dict(page.evaluate(RIGHT_EDGES))
            assert rights.keys() >= set(COLUMNS.values())
            assert width < 1200 or max(rights[name] for name in COLUMNS.values()) < width
            # The table scrolls in its box, and the page not at all.
            assert page.evaluate("document.documentElement.scrollWidth") == width
        browser.close()
