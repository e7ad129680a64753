"""Storyboards that are worked on: nothing is lost, and no name leads anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.storyboards import FROM_IMAGE, TWO_SHOTS, write
from ursa_ray.errors import AssetError, OptionError
from ursa_ray.storyboard.loading import MAX_STORYBOARD_BYTES
from ursa_ray.studio.boards import PICTURES, Boards, StaleError, film_name, plain_name


@pytest.fixture
def boards(tmp_path):
    return Boards(tmp_path / "boards")


def test_a_text_is_kept_and_found_again(boards):
    version = boards.save("film", "first", "")
    assert boards.save("film", "second", version)
    assert boards.open("film").text == "second"
    assert boards.names() == ["film"]


def test_who_saves_over_a_text_that_they_have_not_seen_is_refused(boards):
    opened = boards.begin("film", "start")
    boards.save("film", "mine", opened.version)
    with pytest.raises(StaleError, match="somebody else has changed this storyboard"):
        boards.save("film", "yours", opened.version)
    assert boards.open("film").text == "mine"


def test_the_text_of_one_film_is_not_saved_as_another_that_has_none(boards):
    version = boards.save("one", "text", "")
    with pytest.raises(StaleError):
        boards.save("other", "text", version)


def test_saving_the_same_twice_is_no_conflict(boards):
    boards.save("film", "text", "")
    assert boards.save("film", "text", "")


def test_a_new_film_replaces_none(boards):
    boards.begin("film", "first")
    with pytest.raises(OptionError, match="there is a film of this name already"):
        boards.begin("film", "second")
    assert boards.open("film").text == "first"


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", "Film", ".studio", "a" * 65, "a\n", "a b", "-a"])
def test_no_name_of_a_film_leads_elsewhere(boards, name):
    for act in (boards.folder, boards.open, lambda name: boards.save(name, "text", ""), boards.assets):
        with pytest.raises(OptionError, match="cannot name a film"):
            act(name)


def test_a_text_that_is_too_long_is_refused_and_the_one_before_stays(boards):
    version = boards.save("film", "short", "")
    with pytest.raises(OptionError, match="at most 256 KB"):
        boards.save("film", "x" * (MAX_STORYBOARD_BYTES + 1), version)
    assert boards.open("film").text == "short"


def test_another_picture_of_the_same_name_gets_a_number(boards, tmp_path):
    one, other = tmp_path / "one" / "a.png", tmp_path / "other" / "a.png"
    for path, colour in ((one, "red"), (other, "blue")):
        path.parent.mkdir()
        Image.new("RGB", (8, 8), colour).save(path)
    red = one.read_bytes()
    assert [boards.add_asset("film", path) for path in (one, other, one)] == ["a.png", "a-2.png", "a.png"]
    assert (boards.folder("film") / "a.png").read_bytes() == red
    assert boards.assets("film") == ["a-2.png", "a.png"]


def test_what_is_no_picture_and_no_clip_is_refused(boards, tmp_path):
    upload = write(tmp_path, "<script>", "page.html")
    with pytest.raises(OptionError, match=r"'page\.html' is not taken"):
        boards.add_asset("film", upload)


def test_a_file_that_is_only_called_a_picture_or_clip_is_refused_by_its_own_name(boards, tmp_path):
    for name in ("bad.png", "bad.mp4"):
        with pytest.raises(AssetError, match=rf"^{name}: is no"):
            boards.add_asset("film", write(tmp_path, "no picture", name))
    assert boards.assets("film") == []


def test_a_file_that_is_only_called_a_picture_or_a_clip_is_refused_by_its_own_name(boards, tmp_path):
    for name in ("bad.png", "bad.mp4"):
        with pytest.raises(AssetError, match=rf"^{name}: is no"):
            boards.add_asset("film", write(tmp_path, "no picture", name))
    assert boards.assets("film") == []


def test_an_example_comes_with_the_pictures_that_it_names_and_no_others(boards, tmp_path):
    board = write(tmp_path / "examples", FROM_IMAGE)
    for name in ("title.png", "secret.png"):
        (board.parent / name).write_bytes(b"picture")
    boards.copy_assets("film", board)
    assert boards.assets("film") == ["title.png"]


def test_an_example_with_mistakes_comes_with_nothing(boards, tmp_path):
    boards.copy_assets("film", write(tmp_path, TWO_SHOTS.replace("frames", "farmes")))
    assert boards.assets("film") == []


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("sunset.png", "sunset.png"),
        ("../../etc/passwd.png", "passwd.png"),
        ("..\\..\\evil.PNG", "evil.png"),
        ("caf\u00e9 au lait.jpeg", "cafe-au-lait.jpeg"),
        ("<img src=x onerror=alert(1)>.png", "img-src-x-onerror-alert-1.png"),
        ("...png", "upload.png"),
        ("\u65e5\u672c.webp", "upload.webp"),
        ("a\nb\x00.png", "a-b.png"),
        ("x" * 300 + ".png", "x" * 80 + ".png"),
    ],
)
def test_of_a_file_name_only_plain_characters_stay(given, plain):
    assert plain_name(given, PICTURES) == plain


@given(st.text(max_size=40))
def test_whatever_a_file_is_called_it_stays_in_its_folder(text):
    plain = plain_name(f"{text}.png", PICTURES)
    assert set(plain) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert plain.count(".") == 1 and not plain.startswith((".", "-"))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("My Film.yaml", "my-film"),
        ("---.yml", "upload"),
        ("\u00fc.yaml", "u"),
        ("My Film!", "my-film"),
        ("../../etc", "etc"),
        ("../..", "film"),
        ("one.two", "one-two"),
        ("a_b-2", "a_b-2"),
    ],
)
def test_whatever_people_call_a_film_becomes_a_name(given, name):
    assert film_name(given) == name
