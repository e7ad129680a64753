"""The studio as people use it, in a real browser; what is promised to them: nothing is lost, everything is told."""

import re
import signal
import struct
import time
from fractions import Fraction

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.processes import Process
from tests.storyboards import write
from tests.studio.conftest import MAX_UPLOAD_MB, STORYBOARDS, free_port
from ursa_ray.ledger import Run
from ursa_ray.media import write_film

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

LONG_MS = 90_000  # a render on a busy machine


# What is told beside the downloads, one after the other.
KEEP_WORDS = """() => {
    const place = document.querySelector("#taken");
    window.words = "";
    new MutationObserver(() => { window.words += place.textContent; }).observe(place, {childList: true, subtree: true});
}"""


def begin(page, name, example):
    page.fill("#name input, #name textarea", name)
    page.click("#example input")
    page.get_by_role("option", name=example, exact=True).click()
    page.click("#begin")
    expect(page.locator("#plan table")).to_be_visible()


def expect_phase(page, phase, timeout=LONG_MS):
    expect(page.locator(f'#status [data-phase="{phase}"]')).to_be_visible(timeout=timeout)


def cards(page, state):
    return page.locator(f'#cards [data-state="{state}"]')


def type_at_the_end(page, text):
    page.click("#editor .cm-content")
    page.keyboard.press("Control+End")
    page.keyboard.insert_text(text)


def played(page):
    """Play what is in the player; its seconds."""
    page.wait_for_selector("#player video")
    page.evaluate("() => { const v = document.querySelector('#player video'); v.muted = true; return v.play(); }")
    page.wait_for_function("document.querySelector('#player video').currentTime > 0.3")
    return page.evaluate("document.querySelector('#player video').duration")


def test_a_film_is_written_rendered_reloaded_cancelled_resumed_played_and_taken_again(visit, studio):
    page = visit()
    begin(page, "tour", "quickstart")
    expect(page.locator("#plan")).to_contain_text("Quickstart: 64x48")
    expect(page.locator("#plan tr").last).to_have_text("film1315613.0013")

    type_at_the_end(page, "\n    motion: many")
    expect(page.locator("#problems")).to_contain_text("line 21")
    expect(page.locator("#problems")).to_contain_text("expected a number from 0 to 100")
    page.click("#render")
    expect(page.locator("#message")).to_contain_text("Mend the storyboard first: line 21")
    page.keyboard.press("Control+z")
    expect(page.locator("#problems")).to_contain_text("No mistakes")

    page.click("#render")
    expect_phase(page, "rendering")
    expect(cards(page, "begun").locator("img").first).to_be_visible(timeout=LONG_MS)  # a preview
    expect(cards(page, "made").locator("img").first).to_be_visible(timeout=LONG_MS)  # a still
    page.reload()
    expect_phase(page, "rendering")
    expect(page.locator("#editor")).to_contain_text("title: Quickstart")
    page.click("#cancel")
    expect(page.locator("#message")).to_contain_text("Ending in order")
    expect(page.locator("#cancel")).to_be_disabled()
    expect_phase(page, "paused")
    expect(page.locator("#message")).to_be_empty()
    num_made = cards(page, "made").count()
    assert 1 <= num_made < 13

    page.click("#play")
    assert 0 < played(page) < 13
    expect(page.locator("#player")).to_contain_text("The first")
    with page.expect_download() as download:
        page.click("#take-film")
    assert re.fullmatch(r"tour-first-\d+\.\ds\.mp4", download.value.suggested_filename)
    expect(page.locator("#render")).to_have_text("Resume")
    page.click("#render")
    expect_phase(page, "finished")
    assert cards(page, "made").count() == 13
    expect(page.locator("#plan")).to_contain_text("Nothing is new")
    assert played(page) == pytest.approx(13, abs=0.1)

    before = page.locator("#player video").get_attribute("src")
    expect(page.locator("#retake")).to_be_disabled()
    page.click('#cards [data-segment="sea[3]"]')
    expect(page.locator("#foretold")).to_contain_text("Take 2 of sea[3]. New work: 1 segment")
    page.click("#retake")
    expect(page.locator("#player video")).not_to_have_attribute("src", before, timeout=LONG_MS)
    expect(page.locator('#cards [data-segment="sea[3]"]')).to_contain_text("take 2")
    assert Run.open(studio.runs / "tour").takes == {"sea[3]": 1}

    page.fill("#number input, #number textarea", "1")
    expect(page.locator("#foretold")).to_contain_text("Take 1 of sea[3]. Nothing is new")
    page.click("#retake")
    expect(page.locator("#player video")).to_have_attribute("src", before, timeout=LONG_MS)
    assert Run.open(studio.runs / "tour").takes == {}
    page.click("#part input")
    page.get_by_role("option", name="meadow", exact=True).click()
    expect(page.locator("#foretold")).to_contain_text("Take 2 of meadow.")
    expect(page.locator("#number input, #number textarea")).to_have_value("")


WRAPPED = f"\n  - id: s%d  # {'which is written at great length; ' * 12}\n    prompt: a red circle rises\n    frames: 5"


def test_the_number_of_a_line_with_a_mistake_is_marked_wherever_that_line_is(visit, studio):
    page = visit()
    begin(page, "wrapped", "brief")
    type_at_the_end(page, "".join(WRAPPED % number for number in range(40)) + "\n    motion: many")
    board = studio.runs / ".studio" / "boards" / "wrapped" / "storyboard.yaml"
    expect(page.locator("#problems")).to_contain_text('motion is "many"')
    number = str(1 + board.read_text().split("\n").index("    motion: many"))
    marked = page.locator("#editor .cm-gutterElement.wrong")
    for top, seen in ((0, []), (1e6, [number]), (100, []), (1e6, [number])):
        page.evaluate("top => document.querySelector('#editor .cm-scroller').scrollTop = top", top)
        expect(marked).to_have_text(seen)
    line = page.locator("#editor .cm-line").filter(has_text="motion: many")
    assert line.bounding_box()["y"] == pytest.approx(marked.bounding_box()["y"], abs=3)
    page.keyboard.press("Control+z")
    expect(marked).to_have_count(0)


def test_a_page_of_a_long_film_stays_short(visit):
    page = visit()
    begin(page, "long", "brief")
    type_at_the_end(page, "".join(WRAPPED % number for number in range(120)))
    expect(page.locator("#plan tr").last).to_contain_text("film124")
    assert page.evaluate("document.documentElement.scrollHeight") < 1700


def test_where_there_is_no_film_nothing_of_the_one_before_stays_and_nothing_can_be_pressed(visit):
    page = visit()
    page.click("#film input")
    page.get_by_role("option", name=re.compile("^golden-")).click()
    expect(cards(page, "made").first).to_be_visible()
    page.wait_for_selector("#player video")
    page.fill("#film input", "../x")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("'../x' cannot name a film")
    expect(page.locator("#cards .card, #player video, #plan table")).to_have_count(0)
    for name in ("render", "cancel", "play", "take-film", "take-tokens", "retake"):
        expect(page.locator(f"#{name}")).to_be_disabled()


def test_a_page_that_is_closed_in_mid_render_costs_nothing(visit, studio):
    page = visit()
    begin(page, "closed", "brief")
    page.click("#render")
    expect_phase(page, "starting")
    page.close()
    until = time.monotonic() + 90
    while not (studio.runs / "closed" / "film.mp4").exists() and time.monotonic() < until:
        time.sleep(0.2)
    page = visit("closed")
    expect_phase(page, "finished")
    assert played(page) == pytest.approx(38 / 12, abs=0.1)


def test_of_two_people_at_once_neither_loses_anything(visit, studio):
    first, second = visit(), visit()
    begin(first, "Shared!", "lasting")
    second.wait_for_timeout(3500)  # it lists what others have begun
    second.click("#film input")
    second.get_by_role("option", name="shared", exact=True).click()
    expect(second.locator("#editor")).to_contain_text("title: Two shots")
    type_at_the_end(first, "\n# from the first")
    board = studio.runs / ".studio" / "boards" / "shared" / "storyboard.yaml"
    first.wait_for_timeout(1500)
    type_at_the_end(second, "\n# from the second")
    expect(second.locator("#message")).to_contain_text("somebody else has changed this storyboard")
    assert "# from the first" in board.read_text() and "# from the second" not in board.read_text()
    expect(second.locator("#editor")).to_contain_text("# from the second")
    expect(second.locator("#message")).to_contain_text("reload the page to see theirs")
    second.reload()
    expect(second.locator("#editor")).to_contain_text("# from the first")

    first.click("#render")
    for page in (first, second):
        expect_phase(page, "rendering")
        expect(page.locator("#render")).to_be_disabled()
    second.click("#cancel")
    for page in (first, second):
        expect_phase(page, "paused")


def test_a_run_that_was_made_elsewhere_is_watched_and_played(visit, goldens_folder):
    page = visit()
    page.click("#film input")
    page.get_by_role("option", name=re.compile("^golden-")).click()
    expect(page.locator("#message")).to_contain_text("Watching needs none")
    expect(cards(page, "made").first).to_be_visible()
    page.click("#play")
    assert played(page) > 0
    page.evaluate(KEEP_WORDS)
    with page.expect_download() as download:
        page.click("#take-tokens")
    assert page.evaluate("window.words").strip().startswith("Packing ...")
    film = page.locator("#film input").input_value()
    assert download.value.suggested_filename == f"{film}.npz"
    with page.expect_download() as download:
        page.click("#take-film")
    assert download.value.suggested_filename == f"{film}.mp4"


def test_images_and_videos_of_a_prompt_are_made_and_gone_on_with_in_rooms_of_their_own(visit):
    page = visit()
    page.get_by_role("tab", name="Images").click()
    page.fill("#image-prompt textarea", "a red circle")
    # Limits of Gradio's own would tell of a number without its name; those of the command line name the option.
    assert {each.get_attribute("max") for each in page.locator("input[type=number]").all()} == {None}
    page.click("#image-make")
    page.get_by_role("tab", name="Videos").click()
    page.fill("#video-prompt textarea", "-a blue square moves to the left")
    page.set_input_files("#video-start input", STORYBOARDS / "stills" / "sunset.png")
    page.wait_for_selector("#video-start :text('sunset')")
    page.click("#video-make")
    page.wait_for_selector("#video-results video", timeout=LONG_MS)
    page.get_by_role("tab", name="Images").click()
    image = page.wait_for_selector("#image-results img", timeout=LONG_MS)
    expect(page.locator("#image-status")).to_contain_text("Finished")
    with page.expect_download() as download:
        page.click("#image-results a")
    assert download.value.suggested_filename == page.inner_text("#image-results a")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    expect(page.locator("#image-status")).to_contain_text("1 of 1 images")

    page.get_by_role("tab", name="Videos").click()
    page.fill("#video-prompt textarea", "a video that lasts")
    page.click("#video-settings button")
    steps = page.locator("#video-steps input, #video-steps textarea")
    steps.fill("300")
    page.click("#video-make")
    expect(page.locator("#video-status")).to_contain_text("Rendering", timeout=LONG_MS)
    page.click("#video-cancel")
    expect(page.locator("#video-status")).to_contain_text("Not finished", timeout=LONG_MS)
    expect(page.locator("#video-message")).to_be_empty()
    page.reload()
    page.get_by_role("tab", name="Videos").click()
    expect(page.locator("#video-prompt textarea")).to_have_value("a video that lasts")
    expect(page.locator("#video-start")).to_contain_text("sunset")
    page.click("#video-settings button")
    expect(steps).to_have_value("300")
    page.click("#video-resume")
    expect(page.locator("#video-cancel")).to_be_enabled(timeout=LONG_MS)


def test_a_storyboard_and_its_picture_that_are_uploaded_together_become_a_film(visit):
    page = visit()
    upload(page, STORYBOARDS / "stills" / "sunset.png", STORYBOARDS / "extend-image.yaml")
    expect(page.locator("#message")).to_contain_text("Kept: extend-image, sunset.png.")
    expect(page.locator("#assets")).to_contain_text("sunset.png")
    expect(page.locator("#problems")).to_contain_text("Uploaded: sunset.png; write image: sunset.png.")
    page.wait_for_timeout(1500)
    expect(page.locator("#message")).to_contain_text("Kept: extend-image, sunset.png.")


def upload(page, *files):
    with page.expect_file_chooser() as chooser:
        page.click("#upload")
    chooser.value.set_files(list(files))


def clip_with(num_bytes, path):
    """A clip of a frame, and so many bytes behind it that every player passes over."""
    write_film(path, [np.zeros((48, 64, 3), np.uint8)], 1, (64, 48), Fraction(12))
    return path.read_bytes() + struct.pack(">I4s", 8 + num_bytes, b"free") + bytes(range(250)) * (num_bytes // 250)


def test_a_large_file_is_taken_whole_and_one_that_is_too_large_is_refused(visit, studio, tmp_path):
    page = visit()
    begin(page, "large", "brief")
    content = clip_with(50 * 10**6, tmp_path / "small.mp4")
    (tmp_path / "large.mp4").write_bytes(content)
    upload(page, tmp_path / "large.mp4")
    expect(page.locator("#message")).to_contain_text("Kept: large.mp4")
    kept = studio.runs / ".studio" / "boards" / "large" / "large.mp4"
    assert kept.read_bytes() == content

    (tmp_path / "larger.mp4").write_bytes(bytes((MAX_UPLOAD_MB + 5) * 2**20))
    upload(page, tmp_path / "larger.mp4")
    expect(page.get_by_text("exceed the maximum allowed size of 55")).to_be_visible()
    assert not kept.with_name("larger.mp4").exists()


@pytest.mark.slow
def test_without_the_password_only_a_question_for_it_is_given(tmp_path):
    write(tmp_path, "secret\n", "password")
    options = ("--host=0.0.0.0", f"--password-file={tmp_path / 'password'}", f"--runs={tmp_path / 'runs'}")
    address = f"http://127.0.0.1:{(port := free_port())}/"
    process = Process(tmp_path, "studio", f"--port={port}", *options)
    assert "The studio is at" in process.stdout.readline()
    for path in ("config", "gradio_api/info", f"gradio_api/file={tmp_path}/password"):
        assert httpx.get(f"{address}{path}").status_code == 401
    assert httpx.post(f"{address}gradio_api/upload", files={"files": ("a.png", b"a")}).status_code == 401
    with httpx.Client() as person:
        assert person.post(f"{address}login", data={"username": "a", "password": "Secret"}).status_code == 400
        assert person.post(f"{address}login", data={"username": "a", "password": "secret"}).status_code == 200
        assert person.get(f"{address}config").status_code == 200
    process.send_signal(signal.SIGINT)
    assert "travel unencrypted" in process.end()


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_it_is_served_on_any_address_of_this_machine_alone(tmp_path, host):
    process = Process(tmp_path, "studio", f"--host={host}", f"--port={free_port()}", f"--runs={tmp_path / 'runs'}")
    address = re.search(r"http://\S+", process.stdout.readline())[0]
    assert httpx.get(address).status_code == 200
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.end()


def test_who_asks_without_the_page_gets_no_further(studio):
    """Requests as a script sends them: too large, of other files, under another name, for another page."""
    too_large = {"files": ("a.mp4", bytes((MAX_UPLOAD_MB + 1) * 2**20))}
    assert httpx.post(f"{studio.address}gradio_api/upload", files=too_large).status_code == 413
    studio.runs.mkdir(exist_ok=True)
    (studio.runs / "secret.txt").write_text("secret")
    for path in ("/etc/passwd", f"{studio.runs}/secret.txt", f"{studio.runs}/.studio/logs", "../../etc/passwd"):
        assert httpx.get(f"{studio.address}gradio_api/file={path}").status_code in (403, 404)
    assert httpx.get(f"{studio.address}gradio_api/file=http://127.0.0.1:1/").status_code == 403
    assert httpx.get(studio.address, headers={"Host": "evil.example"}).status_code == 403
    small, elsewhere = {"files": ("a.png", b"a")}, {"Origin": "http://127.0.0.1:1"}
    assert httpx.post(f"{studio.address}gradio_api/upload", files=small, headers=elsewhere).status_code == 403
    assert httpx.post(f"{studio.address}gradio_api/queue/join", json={}, headers=elsewhere).status_code == 403


def test_a_hostile_file_name_is_only_a_name(visit, studio):
    page = visit()
    begin(page, "hostile", "brief")
    boards = studio.runs / ".studio" / "boards"
    hostile = "..\\..\\<img src=x onerror=document.title='owned'>'; rm -rf ~ #.png"
    upload(page, {"name": "<b>bad.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(page.locator("#message")).to_contain_text("is not a PNG, JPEG or WEBP image")
    picture = (STORYBOARDS / "stills" / "sunset.png").read_bytes()
    upload(page, {"name": hostile, "mimeType": "image/png", "buffer": picture})
    expect(page.locator("#message")).to_contain_text("Kept: ")
    (kept,) = (boards / "hostile").glob("*.png")
    assert re.fullmatch(r"[A-Za-z0-9_-]+\.png", kept.name)
    upload(page, {"name": "evil.html", "mimeType": "text/html", "buffer": b"<script>"})
    page.wait_for_timeout(500)
    assert sorted(path.name for path in (boards / "hostile").iterdir()) == sorted([kept.name, "storyboard.yaml"])
    type_at_the_end(page, f"\n  - {{id: c, prompt: '<b onload=alert(1)>', image: {kept.name}, frames: 5}}")
    expect(page.locator("#plan tr").last).to_contain_text("film5")
    assert page.title() == "ursa-ray studio"
