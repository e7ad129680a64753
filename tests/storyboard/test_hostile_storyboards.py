"""Files, folders and bytes that are no storyboard, and those that want to do harm."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.storyboard.boards import GRIZZLY, SMALL, film, load, shot, timed, with_title, write
from ursa_ray.errors import InputError, StoryboardError
from ursa_ray.prepare import prepare
from ursa_ray.storyboard import load_storyboard, yaml_source


def error_of(path: Path) -> str:
    """The message, which must come within the two seconds that are promised."""
    start = time.monotonic()
    with pytest.raises(StoryboardError) as caught:
        load_storyboard(path)
    assert time.monotonic() - start < 2
    return str(caught.value)


def test_all_mistakes_are_told_at_once_by_line(tmp_path):
    text = film("titel: a\nvideo: {width: 1}\ndefaults: {steps: 0, sede: 1}") + "output: {crf: 99}\n"
    lines = error_of(write(tmp_path, text)).splitlines()
    assert [line.removeprefix(f"{tmp_path}/film.yaml:").partition(":")[0] for line in lines] == list("34557")
    assert [line.partition("yaml:")[2].split()[1] for line in lines] == [
        "the",
        "video.width",
        "defaults.steps",
        "defaults",
        "output.crf",
    ]


def test_shots_of_one_id_are_both_named(tmp_path):
    file = write(tmp_path, timed("") + "  - {id: dawn, prompt: a, frames: 9}\n")
    assert error_of(file) == (
        f'{file}:4: shots[0] ("dawn") has the same id as shots[2]; give every shot its own\n'
        f'{file}:9: shots[2] ("dawn") has the same id as shots[0]; give every shot its own'
    )


def test_a_thousand_mistakes_are_not_a_thousand_lines(tmp_path):
    lines = error_of(write(tmp_path, film(f"defaults: {{{','.join(f'k{i}: 1' for i in range(1000))}}}"))).splitlines()
    assert len(lines) == 101
    assert lines[-1].endswith("and 900 more problems")


def test_a_file_that_is_not_there(tmp_path):
    assert error_of(tmp_path / "no.yaml") == f"{tmp_path}/no.yaml: there is no such file"


def test_a_folder(tmp_path):
    assert error_of(tmp_path) == f"{tmp_path}: is a folder, expected a storyboard file"


def test_a_path_through_a_file(tmp_path):
    file = write(tmp_path, film())
    assert error_of(file / "film.yaml") == f"{file}/film.yaml: cannot be read: Not a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(tmp_path):
    file = write(tmp_path, film())
    file.chmod(0)
    assert error_of(file) == f"{file}: cannot be read: Permission denied"


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert error_of(tmp_path / "pipe") == f"{tmp_path}/pipe: is not a regular file, expected a storyboard file"


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n", "~"])
def test_an_empty_file(text, tmp_path):
    file = write(tmp_path, text)
    assert error_of(file) == f"{file}: is empty, expected a mapping with version, model and shots"


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"version: 1\ntitle: \xff\n", 2, "is not UTF-8 text; save it as UTF-8"),
        (film().encode("utf-16"), 1, "is not UTF-8 text; save it as UTF-8"),
        (b"version: 1\ntitle: a\0b\n", 2, r'holds the character "\u0000", expected text'),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 1, "is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_bytes_that_are_not_text(data, line, words, tmp_path):
    file = tmp_path / "film.yaml"
    file.write_bytes(data)
    assert error_of(file) == f"{file}:{line}: {words}"


def test_a_byte_order_mark_and_windows_line_ends_are_text(tmp_path):
    file = tmp_path / "film.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + film().replace("\n", "\r\n").encode())
    assert load_storyboard(file).where("shots", 0, "id") == f"{file}:4"


def test_a_storyboard_may_fill_its_256_kilobytes(tmp_path):
    head = "version: 1\nmodel: tiny\nshots:\n"
    shots = "".join(f"- {{id: s{i}, prompt: fog on the river, frames: 9}}\n" for i in range(5000))
    assert 230_000 < len(head + shots) < 256 * 1024
    assert len(load(tmp_path, head + shots).shots) == 5000


LAUGHS = "a: &a [ha, ha]\n" + "".join(
    f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "film.yaml:1: anchors (&) and aliases (*) are not read"),
        ("[" * 250_000, "film.yaml:1: nested more than 20 deep"),
        ("{a: " * 60_000, "film.yaml:1: nested more than 20 deep"),
        ("- " * 130_000, "film.yaml:1: nested more than 20 deep"),
        ("? " * 130_000, "film.yaml:1: nested more than 20 deep"),
        ("a: 1" + ":1" * 130_000, "film.yaml:1: a number has at most 64 characters"),
        ("[" + "a," * 130_000 + "]", "film.yaml:1: more than 50,000 keys and values"),
        ("a" * 300_000, "film.yaml: is too large for a storyboard, expected at most 256 KB"),
    ],
    ids=["laughs", "lists", "mappings", "dashes", "questions", "sexagesimals", "values", "bytes"],
)
def test_bombs_are_refused_quickly(text, words, tmp_path):
    assert error_of(write(tmp_path, text)).startswith(f"{tmp_path}/{words}")


def test_even_a_tag_that_got_through_would_make_nothing(tmp_path, monkeypatch):
    """The loader is a safe one, whatever is refused before it."""

    class Everything:
        __contains__ = lambda *_: True  # noqa: E731

    monkeypatch.setattr(yaml_source, "SCALAR_TAGS", Everything())
    assert "cannot read" in error_of(write(tmp_path, film("title: !!python/name:os.system ''")))


def test_twenty_levels_are_not_too_deep_for_yaml(tmp_path):
    assert "nested" not in error_of(write(tmp_path, "a: " + "[" * 19 + "]" * 19))


def test_an_image_behind_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"PNG")
    films = tmp_path / "films"
    films.mkdir()
    (films / "title.png").symlink_to(tmp_path / "secret.png")
    assert error_of(write(films, timed("image: title.png"))).endswith(
        f'image is "title.png", but {films}/title.png is outside the storyboard\'s folder; move it inside'
    )


def test_an_image_behind_a_link_inside_the_folder_is_used(tmp_path):
    with_title(tmp_path)
    (tmp_path / "latest.png").symlink_to("stills/title.png")
    assert load(tmp_path, timed("image: stills/../latest.png")).shots[1].image == "stills/../latest.png"


def test_links_in_a_loop_are_refused(tmp_path):
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "b.png").symlink_to("a.png")
    assert "a.png cannot be read" in error_of(write(tmp_path, timed("image: a.png")))


def test_a_pipe_is_not_an_image(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert error_of(write(tmp_path, timed("image: a.png"))).endswith("a.png is not a regular file")


@pytest.mark.parametrize(("key", "limit"), [("image", 50_000_000), ("video", 2_000_000_000)])
def test_large_assets_are_refused(key, limit, tmp_path):
    asset = tmp_path / "asset"
    asset.touch()
    os.truncate(asset, limit)
    load(tmp_path, timed(f"{key}: asset"))
    os.truncate(asset, limit + 1)
    assert error_of(tmp_path / "film.yaml").endswith(
        f'{key} is "asset", but {asset} has {limit + 1:,} bytes, expected at most {limit:,}'
    )


def replaced(data: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    for start, length, new in cuts:
        start %= len(data) + 1
        data = data[:start] + new + data[start + length :]
    return data


def relined(text: str, cuts: list[tuple[int, int, list[int]]]) -> str:
    """Some lines left out, others from elsewhere put in."""
    source = lines = text.splitlines(keepends=True)
    for start, length, new in cuts:
        lines = lines[:start] + [source[i % len(source)] for i in new] + lines[start + length :]
    return "".join(lines)


SPICE = [
    b"&a ",
    b"*a",
    b"!!",
    b"1:30",
    b"no",
    b"[",
    b"{",
    b"}",
    b": ",
    b"\n",
    b"- ",
    b"|\n",
    b"%",
    b"? ",
    b'"\\x',
    b"=",
]
CUTS = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 40), st.binary(max_size=4) | st.sampled_from(SPICE)),
    max_size=4,
)
LINE_CUTS = st.lists(
    st.tuples(st.integers(0, 22), st.integers(0, 3), st.lists(st.integers(0, 21), max_size=3)), max_size=4
)


def plan_damaged(folder: Path, whole: str, line_cuts: list[tuple[int, int, list[int]]], cuts: list) -> None:
    """Whatever is left of a storyboard is planned, or refused in time and with the file in every line."""
    file = folder / "film.yaml"
    file.write_bytes(replaced(relined(whole, line_cuts).encode(), cuts))
    start = time.monotonic()
    try:
        prepare(file)
    except InputError as error:
        assert time.monotonic() - start < 2
        lines = str(error).splitlines()
        assert lines
        assert all(line.startswith(f"{file}:") for line in lines), lines


@pytest.fixture
def films(tmp_path):
    Image.new("RGB", (8, 8)).save(with_title(tmp_path) / "stills" / "title.png")
    return tmp_path


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=st.sampled_from([GRIZZLY, SMALL]), line_cuts=LINE_CUTS, cuts=CUTS)
def test_a_damaged_storyboard_is_planned_or_an_input_error(whole, line_cuts, cuts, films):
    plan_damaged(films, whole, line_cuts, cuts)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of memory")
def test_ten_thousand_damaged_storyboards_are_planned_or_input_errors_in_time_and_memory(films):
    @settings(max_examples=10_000, deadline=None, database=None)
    @given(whole=st.sampled_from([GRIZZLY, SMALL]), line_cuts=LINE_CUTS, cuts=CUTS)
    def plan_many(whole, line_cuts, cuts):
        plan_damaged(films, whole, line_cuts, cuts)

    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak_bytes()
    plan_many()
    assert peak_bytes() - before < 300 * 10**6


def peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(max_size=20) | st.floats().map(str) | st.integers().map(str) | st.dates().map(str))
def test_any_value_of_any_duration_loads_or_is_a_storyboard_error(value, tmp_path):
    try:
        duration = load(tmp_path, shot(f"prompt: fog\nduration: {value}s")).shots[1].duration
    except StoryboardError:
        return
    assert duration is None or 0 < duration <= 24 * 3600
