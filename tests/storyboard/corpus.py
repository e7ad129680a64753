"""Bad storyboards beside those of `test_bad_storyboards`: every kind of field with every kind of wrong value.

What each is answered with is stated here: bounds and words are the design's, not the schema's. A name gives the
storyboard, and the words of the one error on its marked line.
"""

import os
import zlib
from pathlib import Path

from PIL import Image

from tests.storyboard.boards import MARK, film, shot, timed

Corpus = dict[str, tuple[str, ...]]

SETTINGS = ("negative_prompt", "motion", "steps", "guidance", "guidance_trunc", "flow_shift", "seed")
WINDOW = ("frames", "overlap", "cond_noise", "join")
DUSK = 'shots[1] ("dusk"): '

# What a message calls a field, and a storyboard with VALUE in its place.
FIELDS = {
    "title": film(f"title: VALUE {MARK}"),
    "model": film().replace("model: tiny", f"model: VALUE {MARK}"),
    "video.width": film(f"video: {{height: 320, width: VALUE}} {MARK}"),
    "video.height": film(f"video: {{width: 512, height: VALUE}} {MARK}"),
    "video.fps": film(f"video: {{fps: VALUE}} {MARK}"),
    **{
        f"segment.{key}": film(f"segment: {{{key}: VALUE}} {MARK}")
        for key in ("frames", "overlap", "cond_noise", "join")
    },
    **{f"defaults.{key}": film(f"defaults: {{{key}: VALUE}} {MARK}") for key in SETTINGS},
    **{f"output.{key}": film(f"output: {{{key}: VALUE}} {MARK}") for key in ("codec", "crf")},
    **{f"{DUSK}{key}": timed(f"{key}: VALUE {MARK}") for key in (*SETTINGS, "continue", "image", "video")},
    f"{DUSK}frames": shot(f"prompt: fog\nframes: VALUE {MARK}"),
    f"{DUSK}duration": shot(f"prompt: fog\nduration: VALUE {MARK}"),
    f"{DUSK}prompt": shot(f"frames: 9\nprompt: VALUE {MARK}"),
    f"{DUSK}beats[0].at": timed(f"beats: [{{prompt: a, at: VALUE}}] {MARK}"),
    f"{DUSK}beats[0].frame": timed(f"beats: [{{prompt: a, frame: VALUE}}] {MARK}"),
    f"{DUSK}beats[0].prompt": timed(f"beats: [{{at: 1s, prompt: VALUE}}] {MARK}"),
}

WHOLE = {
    "video.width": "16 to 4,096",
    "video.height": "16 to 4,096",
    "segment.frames": "1 to 10,000",
    "segment.overlap": "0 to 9,999",
    "defaults.steps": "1 to 1,000",
    "defaults.seed": "0 to 9,223,372,036,854,775,807",
    "output.crf": "0 to 51",
    f"{DUSK}steps": "1 to 1,000",
    f"{DUSK}seed": "0 to 9,223,372,036,854,775,807",
    f"{DUSK}frames": "1 to 10,000,000",
    f"{DUSK}beats[0].frame": "1 to 10,000,000",
}
NUMBERS = {
    "segment.cond_noise": "a number from 0 to less than 1",
    "defaults.motion": "a number from 0 to 100",
    "defaults.guidance": "a number from 0 to 100",
    "defaults.guidance_trunc": "a number from 0 to 1",
    "defaults.flow_shift": "a positive number",
    f"{DUSK}motion": "a number from 0 to 100",
    f"{DUSK}guidance": "a number from 0 to 100",
    f"{DUSK}guidance_trunc": "a number from 0 to 1",
    f"{DUSK}flow_shift": "a positive number",
}
TEXTS = {
    "title": "one line of at most 200 characters",
    "model": "a hub id such as",
    "defaults.negative_prompt": "a text of at most 10,000 characters",
    f"{DUSK}negative_prompt": "a text of at most 10,000 characters",
    f"{DUSK}prompt": "a text that is not blank",
    f"{DUSK}beats[0].prompt": "a text that is not blank",
}
CHOICES = {"segment.join": "agreeing, restored or published", "output.codec": "h264"}
DURATIONS = (f"{DUSK}duration", f"{DUSK}beats[0].at")
ASSETS = {f"{DUSK}image": "such as stills/title.png", f"{DUSK}video": "such as clips/opening.mp4"}

# As written, and as a message shows it.
NO_NUMBER = {
    "many": '"many"',
    '"9"': '"9"',
    "9s": '"9s"',
    "1e3": '"1e3"',  # YAML 1.1 wants 1.0e+3
    "yes": "yes, which YAML reads as true",
    "off": "off, which YAML reads as false",
    "[9]": "a list",
    "[]": "an empty list",
    "{a: 9}": "a mapping",
    "2024-01-01": "2024-01-01, which YAML reads as a date",
    ".nan": ".nan",
    ".inf": ".inf",
}
NO_WHOLE_NUMBER = {"-1": "-1", "9.5": "9.5", "9.0": "9.0", "99999999999999999999": "99999999999999999999"}
NO_TEXT = {
    "12": "12",
    "1.5": "1.5",
    "no": "no, which YAML reads as false",
    "2024-01-01": "2024-01-01, which YAML reads as a date",
    "[a]": "a list",
    "{a: b}": "a mapping",
}
NO_DURATION = {
    "20": "20",
    "1:30": "1:30, which YAML reads as 90",
    '"1:30"': '"1:30"',
    "0s": '"0s"',
    "-4s": '"-4s"',
    "4 seconds": '"4 seconds"',
    "4S": '"4S"',
    "s": '"s"',
    "1s 2s": '"1s 2s"',
    "1s2min": '"1s2min"',
    "1e3s": '"1e3s"',
    ".5s": '".5s"',
    "4,5s": None,  # in a flow mapping a comma ends a value
    "\u0664s": '"\u0664s"',  # a digit, but not one of ours
    "yes": "yes, which YAML reads as true",
    "[4s]": "a list",
    "{s: 4}": "a mapping",
    ".inf": ".inf",
}
NO_FRAME_RATE = {
    **{value: value for value in ("0", "-24", "0.5", "241", ".inf", ".nan", '"24"', '"24/0"', '"0/1"', '"1/2/3"')},
    "fast": '"fast"',
    "yes": "yes, which YAML reads as true",
    "[24]": "a list",
}

# What a path leads to in the folder that `lay_out` makes.
NO_ASSET = {
    "https://example.org/a.png": "not a URL; download it first",
    "http://127.0.0.1/a": "not a URL; download it first",
    "file:///etc/passwd": "not a URL; download it first",
    "s3://bucket/a.mp4": "not a URL; download it first",
    "concat://a": "not a URL; download it first",
    "/etc/passwd": "expected a path relative to the storyboard",
    "/dev/zero": "expected a path relative to the storyboard",
    "//host/share": "expected a path relative to the storyboard",
    "../outside/secret.png": "is outside the storyboard's folder; move it inside",
    "folder/../../outside/secret.png": "is outside the storyboard's folder; move it inside",
    "to-outside/secret.png": "is outside the storyboard's folder; move it inside",
    "to-secret.png": "is outside the storyboard's folder; move it inside",
    "to-device": "is outside the storyboard's folder; move it inside",
    "to-nothing": "but there is no file",
    "loop": "cannot be read",
    "text/below": "cannot be read",
    "~/a.png": "but there is no file",
    "$HOME/a.png": "but there is no file",
    "folder": "is not a regular file",
    "pipe": "is not a regular file",
    "to-pipe": "is not a regular file",
    "%s": "but there is no file",
}
NO_IMAGE = {
    "text": "is not a PNG, JPEG or WEBP image",
    "empty": "is not a PNG, JPEG or WEBP image",
    "drawing.svg": "is not a PNG, JPEG or WEBP image",
    "picture.tiff": "is not a PNG, JPEG or WEBP image",
    "picture.gif": "is not a PNG, JPEG or WEBP image",
    "picture.eps": "is not a PNG, JPEG or WEBP image",
    "half.png": "is damaged",
    "half.jpeg": "is damaged",
    "half-vast.png": "is damaged",
    "claims-much.png": "pixels. Shrink it.",
    "vast.png": "pixels. Shrink it.",
}
NO_CLIP = {
    "text": "is no whole MP4",
    "empty": "is no whole MP4",
    "playlist.mp4": "is no whole MP4",
    "script.mp4": "is no whole MP4",
    "half.jpeg": "is no whole MP4",
    "drawing.svg": "is no whole MP4",
}

MISSPELT: dict[str, tuple[str, str]] = {
    "titel": (film(f"titel: a {MARK}"), "title"),
    "modle": (film(f"modle: a {MARK}"), "model"),
    "shot": (film(f"shot: [] {MARK}"), "shots"),
    "default": (film(f"default: {{}} {MARK}"), "defaults"),
    "outputs": (film(f"outputs: {{}} {MARK}"), "output"),
    "widht": (film(f"video: {{widht: 512}} {MARK}"), "width"),
    "heigth": (film(f"video: {{heigth: 512}} {MARK}"), "height"),
    "frame": (film(f"segment: {{frame: 9}} {MARK}"), "frames"),
    "overlaps": (film(f"segment: {{overlaps: 9}} {MARK}"), "overlap"),
    "cond-noise": (film(f"segment: {{cond-noise: 0.1}} {MARK}"), "cond_noise"),
    "guidence": (film(f"defaults: {{guidence: 7}} {MARK}"), "guidance"),
    "negative-prompt": (film(f"defaults: {{negative-prompt: a}} {MARK}"), "negative_prompt"),
    "Steps": (timed(f"Steps: 9 {MARK}"), "steps"),
    "promt": (timed(f"promt: a {MARK}"), "prompt"),
    "continues": (timed(f"continues: dawn {MARK}"), "continue"),
    "beat": (timed(f"beat: [] {MARK}"), "beats"),
    "prompts": (timed(f"beats: [{{at: 1s, prompts: a, prompt: b}}] {MARK}"), "prompt"),
    "codecs": (film(f"output: {{codecs: h264}} {MARK}"), "codec"),
}

IDS = ("Dawn", "a b", "a/b", "../a", ".", "-a", "_a", '""', "a" * 65, "b\u00e4r", '"a\\n"', "a.b", "a:b", "$a")

# What the built-in model cannot do: cells of 8 pixels, windows of 1 + 4n frames up to 17, 32 tokens.
IMPOSSIBLE: Corpus = {
    "a width between cells": (
        film(f"video:\n  height: 64\n  width: 100 {MARK}"),
        "width is 100",
        "8 such as 96 or 104",
    ),
    "a height between cells": (film(f"video:\n  width: 64\n  height: 33 {MARK}"), "height is 33", "such as 32 or 40"),
    "a window between latents": (film(f"segment: {{frames: 10}} {MARK}"), "frames is 10", "4, such as 9 or 13"),
    "a window of two": (film(f"segment: {{frames: 2}} {MARK}"), "frames is 2", "4, such as 1 or 5"),
    "a window too long": (film(f"segment: {{frames: 21}} {MARK}"), "frames is 21, expected at most 17"),
    "an overlap between latents": (film(f"segment: {{overlap: 4}} {MARK}"), "overlap is 4", "4, such as 1 or 5"),
    "an overlap of nothing": (film(f"segment: {{overlap: 0}} {MARK}"), "overlap is 0", "4, such as 1 or 5"),
    "an overlap of all frames": (film(f"segment: {{overlap: 17}} {MARK}"), "overlap is 17", "less than the 17 frames"),
    "a shot of no frame": (shot(f"prompt: a\nduration: 1ms {MARK}"), "shorter than a frame", "at least 0.0833s"),
    "a beat after the last frame": (
        shot(f"prompt: a\nduration: 1s\nbeats:\n  - {{frame: 12, prompt: b}} {MARK}"),
        "beats[0] is at frame 12, expected after frame 0 and before the shot's end, frame 12",
    ),
    "a beat in the first frame": (
        shot(f"prompt: a\nduration: 1s\nbeats:\n  - {{at: 10ms, prompt: b}} {MARK}"),
        "beats[0] is at frame 0, expected after frame 0",
    ),
    "two beats in a frame": (
        timed(f"beats:\n  - {{at: 1s, prompt: a}}\n  - {{frame: 12, prompt: b}} {MARK}"),
        "beats[1] is at frame 12, expected after frame 12",
    ),
    "a prompt of many tokens": (shot(f"frames: 9\nprompt: {'bear ' * 99} {MARK}"), "tokens", "at most 32. Shorten it"),
    "a mistake after two days of film": (
        "version: 1\nmodel: tiny\nshots:\n"
        "  - {id: a, prompt: a, duration: 24h}\n  - {id: b, prompt: a, duration: 24h}\n"
        f"  - {{id: c, frames: 9, prompt: {'bear ' * 99}}} {MARK}\n",
        "at most 32. Shorten it",
    ),
    "a beat of many tokens": (
        timed(f"beats:\n  - {{at: 1s, prompt: {'bear ' * 99}}} {MARK}"),
        "beats[0].prompt has",
        "at most 32. Shorten it",
    ),
    "a negative prompt of many tokens": (
        film(f"defaults: {{negative_prompt: {'bear ' * 99}}} {MARK}"),
        "defaults: negative_prompt has",
        "at most 32. Shorten it",
    ),
}
MODELS = {
    "nowhere": "there is no folder",
    "./nowhere": "there is no folder",
    "/nowhere": "there is no folder",
    "https://example.org/model": "there is no folder",
    "a/b/c": "there is no folder",
    "someone/else": "is not on this machine. Fetch it first: hf download someone/else",
    "..": "is no model: it has no model_index.json",
    "folder": "is no model: it has no model_index.json",
    "broken-model": "is not JSON",
    "other-model": "_class_name is 'Other', expected 'URSAPipeline'",
    "BAAI/URSA-1.7B-IBQ1024": "makes images only",
}
YAML: Corpus = {
    "an open quote": (f'version: 1\ntitle: "a {MARK}', "not YAML: "),
    "a bracket too many": (film(f"defaults: {{steps: 9]}} {MARK}"), "not YAML: "),
    "a percent sign": (f"% {MARK}\nversion: 1", "not YAML: "),
    "an at sign": (film(f"title: @a {MARK}"), "not YAML: "),
    "a backtick": (film(f"title: `a` {MARK}"), "not YAML: "),
    "an unknown escape": (film(rf'title: "\q" {MARK}'), "not YAML: "),
    "a bare star": (film(f"title: * {MARK}"), "not YAML: "),
    "a bare ampersand": (film(f"title: & {MARK}"), "not YAML: "),
    "an anchor on a mapping": (film(f"defaults: &a {{steps: 9}} {MARK}"), "anchors (&) and aliases (*) are not read"),
    "an anchor on a list": (timed(f"beats: &a [] {MARK}"), "anchors (&) and aliases (*) are not read"),
    "an alias in a list": (timed(f"beats: [*a] {MARK}"), "anchors (&) and aliases (*) are not read"),
    "an alias as a key": (film(f"*a : 1 {MARK}"), "anchors (&) and aliases (*) are not read"),
    "a merge of a list": (film(f"defaults: {{<<: [{{steps: 9}}]}} {MARK}"), "merge keys (<<) are not read"),
    **{
        f"the tag {tag}": (film(f"title: {tag} a {MARK}"), "tags (!) are not read")
        for tag in ("!!python/name:os.system", "!!python/module:os", "!!timestamp", "!!set", "!env", "!include", "!<x>")
    },
    **{
        f"the call {call}": (film(f"title: !!python/object/{call}:os.system [ls] {MARK}"), "tags (!) are not read")
        for call in ("apply", "new")
    },
    "a key of 1": (film(f"1: a {MARK}"), "a key must be text; quote it"),
    "a key of null": (film(f"~: a {MARK}"), "a key must be text; quote it"),
    "a key of a date": (film(f"2024-01-01: a {MARK}"), "a key must be text; quote it"),
    "a key of a mapping": (film(f"{{a: b}}: c {MARK}"), "a key must be text; quote it"),
    "the same part twice": (film(f"video: {{}}\nvideo: {{}} {MARK}"), 'the key "video" is already on line 3; keep one'),
    "a part twice in its braces": (film(f"defaults: {{seed: 1, seed: 2}} {MARK}"), '"seed" is already on line 3'),
    "21 lists": (film(f"title: {'[' * 21}{']' * 21} {MARK}"), "nested more than 20 deep"),
    "21 mappings": (film(f"title: {'{a: ' * 21}1{'}' * 21} {MARK}"), "nested more than 20 deep"),
    "a number of 65 digits": (film(f"defaults: {{seed: {'1' * 65}}} {MARK}"), "a number has at most 64 characters"),
    "a long clock": (film(f"defaults: {{seed: 1{':1' * 40}}} {MARK}"), "a number has at most 64 characters"),
    "a month too many": (film(f"title: 2024-13-01 {MARK}"), 'cannot read "2024-13-01"; quote it if it is text'),
}


def lay_out(folder: Path) -> None:
    """What the storyboards of the corpus lead to; `folder` is theirs."""
    outside = folder.parent / "outside"
    outside.mkdir()
    Image.new("RGB", (8, 8)).save(outside / "secret.png")
    (folder / "folder").mkdir()
    for name, target in [
        ("to-outside", outside),
        ("to-secret.png", outside / "secret.png"),
        ("to-device", "/dev/zero"),
        ("to-nothing", "nothing"),
        ("to-pipe", "pipe"),
        ("loop", "loop"),
    ]:
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    (folder / "empty").touch()
    (folder / "text").write_text("a bear")
    (folder / "drawing.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    )
    for name in ("picture.tiff", "picture.gif", "picture.eps"):
        Image.new("RGB", (8, 8)).save(folder / name)
    for name in ("half.png", "half.jpeg"):
        Image.effect_noise((200, 200), 80).save(folder / name)
        os.truncate(folder / name, (folder / name).stat().st_size // 2)
    Image.new("1", (9000, 9000)).save(folder / "vast.png")
    Image.new("RGB", (8000, 5000)).save(folder / "half-vast.png", compress_level=1)
    os.truncate(folder / "half-vast.png", (folder / "half-vast.png").stat().st_size - 100)
    claim = bytearray((folder / "half.png").read_bytes())
    claim[16:24] = b"\x7f\xff\xff\xff" * 2
    claim[29:33] = zlib.crc32(claim[12:29]).to_bytes(4, "big")
    (folder / "claims-much.png").write_bytes(claim)
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n")
    (folder / "script.mp4").write_text("ffconcat version 1.0\nfile '/etc/passwd'\n")
    for name, content in (("broken-model", "{"), ("other-model", '{"_class_name": "Other"}')):
        (folder / name).mkdir()
        (folder / name / "model_index.json").write_text(content)


def with_value(field: str, value: str) -> str:
    return FIELDS[field].replace("VALUE", value)


def wrong(fields: dict[str, str], values: dict[str, str], *fix: str) -> Corpus:
    """Each field with each value: `<field> is <value as shown>, expected <what the field may be>`."""
    return {
        f"{field} of {value}": (with_value(field, value), f"{field} is {shown}, expected {expected}", *fix)
        for field, expected in fields.items()
        for value, shown in values.items()
    }


def led_astray(fields: tuple[str, ...], leading: dict[str, str]) -> Corpus:
    return {
        f"{field} of {path}": (with_value(field, f'"{path}"'), DUSK.rstrip(": "), words)
        for field in fields
        for path, words in leading.items()
    }


CORPUS: Corpus = {
    **wrong({field: f"a whole number from {bounds}" for field, bounds in WHOLE.items()}, NO_NUMBER | NO_WHOLE_NUMBER),
    **wrong(NUMBERS, NO_NUMBER | {"-0.5": "-0.5", "-.inf": "-.inf"}),
    **wrong(TEXTS, NO_TEXT),
    **wrong(dict.fromkeys(TEXTS, "text without control characters"), {r'"a\0b"': r'"a\u0000b"'}),
    **wrong(CHOICES, NO_TEXT | {"H264": '"H264"', '""': '""'}),
    **wrong({"video.fps": "a number from 1 to 240, such as 24, 23.976 or"}, NO_FRAME_RATE),
    **wrong(
        dict.fromkeys(DURATIONS, "a positive duration such as 4s or 1.5min"),
        {value: shown for value, shown in NO_DURATION.items() if shown is not None},
    ),
    **wrong({field: f"a path {example}" for field, example in ASSETS.items()}, NO_TEXT | {'""': '""'}),
    **wrong({f"{DUSK}continue": "the id of an earlier shot"}, NO_TEXT),
    **led_astray(tuple(ASSETS), NO_ASSET),
    **led_astray((f"{DUSK}image",), NO_IMAGE),
    **led_astray((f"{DUSK}video",), NO_CLIP),
    **{
        f"the key {key}": (text, f'unknown key "{key}". Did you mean {right}?')
        for key, (text, right) in MISSPELT.items()
    },
    **{
        f"the id {id_}": (
            f"version: 1\nmodel: tiny\nshots:\n  - prompt: a\n    frames: 9\n    id: {id_} {MARK}\n",
            "expected 1 to 64 of a-z, 0-9, - and _",
        )
        for id_ in IDS
    },
    **IMPOSSIBLE,
    **{f"the model {name}": (with_value("model", f'"{name}"'), words) for name, words in MODELS.items()},
    **YAML,
}
