"""Tags of video files, as they are read again."""

import re
from fractions import Fraction

import numpy as np
import pytest

from ursa_ray.errors import MediaError
from ursa_ray.media import CODECS, read_tags, write_film

KEEPING = [codec for codec in CODECS.values() if codec.keeps_tags]


@pytest.mark.parametrize("codec", KEEPING, ids=lambda codec: codec.name)
def test_a_comment_of_more_than_an_argument_can_have_is_kept_in_the_same_bytes(tmp_path, noise, codec):
    # 128 KB for an argument, 64 KB for a QuickTime string; and every character that ffmpeg's own format escapes.
    comment = "a=b;c#d\\e\nf\u00e4" + np.random.default_rng(1).bytes(100_000).hex()
    films = [tmp_path / f"{name}{codec.suffix}" for name in ("first", "second")]
    for film in films:
        write_film(film, noise(3), 3, (96, 64), Fraction(12), codec, {"title": "Dawn; = #1"}, lambda: comment)
    tags = read_tags(films[0])
    assert (tags["title"], tags["comment"]) == ("Dawn; = #1", comment)
    assert films[0].read_bytes() == films[1].read_bytes()
    assert re.search(rb"Lavf[0-9]", films[0].read_bytes()) is None


def test_what_is_no_video_has_no_tags(tmp_path):
    (tmp_path / "film.mp4").write_text("a bear")
    with pytest.raises(MediaError, match="ffmpeg ended with"):
        read_tags(tmp_path / "film.mp4")


def test_a_comment_that_does_not_arrive_is_an_error_and_publishes_nothing(tmp_path, noise, monkeypatch):
    monkeypatch.setattr("ursa_ray.media.film.read_tags", lambda film: {"comment": "another"})
    with pytest.raises(MediaError, match="does not hold the comment that was written"):
        write_film(tmp_path / "film.mp4", noise(3), 3, (96, 64), Fraction(12), comment=lambda: "one")
    assert list(tmp_path.iterdir()) == []
