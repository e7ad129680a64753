"""Every mistake ends in one line that says where, what, what was expected and the fix."""

import re

import pytest

from tests.storyboard.boards import film, load, marked_line, shot, timed
from ursa_ray.errors import StoryboardError

# name: (storyboard, the words of its one error)
BAD = {
    # the top
    "version missing": ("model: tiny # <-\nshots: [{id: a, prompt: b, frames: 9}]", "no version, expected 1"),
    "version 2": ("version: 2 # <-\nmodels: x", "version is 2, expected a version", "reads: 1"),
    "version as text": ('version: "1" # <-\nmodel: x', 'version is "1", expected'),
    "version as a fraction": ("version: 1.0 # <-\nmodel: x", "version is 1.0, expected"),
    "version true": ("version: true # <-\nmodel: x", "version is true, expected"),
    "version empty": ("version: # <-\nmodel: x", "version is empty, expected"),
    "model missing": ("version: 1 # <-\nshots: [{id: a, prompt: b, frames: 9}]", "no model", '"tiny"'),
    "model no": (
        "version: 1\nmodel: no # <-\nshots: [{id: a, prompt: b, frames: 9}]",
        "model is no, which YAML reads as false",
        'quote it: "no"',
    ),
    "model blank": (
        'version: 1\nmodel: " " # <-\nshots: [{id: a, prompt: b, frames: 9}]',
        'model is " "',
        "hub id",
    ),
    "shots missing": ("version: 1 # <-\nmodel: tiny", "has no shots, expected a list"),
    "shots empty": ("version: 1\nmodel: tiny\nshots: # <-", "shots is empty, expected a list of 1"),
    "shots an empty list": (
        "version: 1\nmodel: tiny\nshots: [] # <-",
        "shots is an empty list, expected a list of 1",
    ),
    "shots a mapping": ("version: 1\nmodel: tiny\nshots: {a: b} # <-", "shots is a mapping, expected a list"),
    "a shot of text": (
        "version: 1\nmodel: tiny\nshots:\n  - dawn # <-",
        'shots[0] is "dawn", expected a mapping',
    ),
    "an unknown key": (film("titel: fog # <-"), 'unknown key "titel". Did you mean title?'),
    "a key of two lines": (film(r'"a\nb": 1 # <-'), r'unknown key "a\nb"'),
    "a key of two lines twice": (film('"a\\nb": 1\n"a\\nb": 1 # <-'), r'the key "a\nb" is already on line 3'),
    "a key like no other": (film("zzz: 1 # <-"), 'unknown key "zzz". Known: version, title'),
    "title a date": (
        film("title: 2024-01-01 # <-"),
        "title is 2024-01-01, which YAML reads as a date",
        "quote it",
    ),
    "title a number": (film("title: 1984 # <-"), "title is 1984, expected", 'quote it: "1984"'),
    "title on two lines": (film('title: "a\\nb" # <-'), r'title is "a\nb", expected text without control'),
    "title with a bell": (film(r'title: "a\ab" # <-'), "title is", "without control characters"),
    # parts
    "video of text": (film("video: large # <-"), 'video is "large", expected a mapping such as {width: 512'),
    "video empty": (film("video: # <-"), "video is empty, expected a mapping"),
    "width alone": (
        film("video: {width: 512} # <-"),
        "video has a width but no height; give both or neither",
    ),
    "height alone": (film("video:\n  height: 320 # <-"), "video has a height but no width"),
    "width too small": (
        film("video: {width: 8, height: 320} # <-"),
        "video.width is 8, expected",
        "16 to 4,096",
    ),
    "width a fraction": (
        film("video: {width: 512.5, height: 320} # <-"),
        "video.width is 512.5",
        "a whole number",
    ),
    "width as text": (
        film('video: {width: "512", height: 320} # <-'),
        'video.width is "512"',
        "a whole number",
    ),
    "width in clock digits": (
        film("video: {width: 5:12, height: 320} # <-"),
        "5:12, which YAML reads as 312; write",
    ),
    "fps next to nothing": (
        film('video: {fps: "1/999999999"} # <-'),
        "expected a number from 1 to 240",
    ),
    "fps zero": (film("video: {fps: 0} # <-"), "video.fps is 0, expected a number from 1 to 240"),
    "fps too high": (
        film("video: {fps: 1000} # <-"),
        "video.fps is 1000, expected a number from 1 to 240",
    ),
    "fps yes": (film("video: {fps: yes} # <-"), "video.fps is yes, which YAML reads as true, expected"),
    "fps by zero": (film('video: {fps: "24/0"} # <-'), 'video.fps is "24/0", expected', "24000/1001"),
    "fps infinite": (film("video: {fps: .inf} # <-"), "video.fps is .inf, expected a number from 1"),
    "overlap of a whole segment": (
        film("segment: {frames: 13, overlap: 13} # <-"),
        "segment has an overlap of 13, expected less than its 13 frames",
    ),
    "overlap negative": (film("segment: {overlap: -1} # <-"), "segment.overlap is -1, expected", "0 to"),
    "noise of one": (
        film("segment: {cond_noise: 1.0} # <-"),
        "segment.cond_noise is 1.0",
        "0 to less than 1",
    ),
    "noise not a number": (
        film("segment: {cond_noise: .nan} # <-"),
        "segment.cond_noise is .nan",
        "0 to less than 1",
    ),
    "codec unknown": (film("output: {codec: vp9} # <-"), 'output.codec is "vp9", expected h264'),
    "crf too high": (
        film("output: {crf: 52} # <-"),
        "output.crf is 52, expected a whole number from 0 to 51",
    ),
    # settings
    "motion not a number": (film("defaults: {motion: .nan} # <-"), "defaults.motion is .nan", "0 to 100"),
    "motion infinite": (film("defaults: {motion: -.inf} # <-"), "defaults.motion is -.inf", "0 to 100"),
    "motion yes": (film("defaults: {motion: yes} # <-"), "defaults.motion is yes, which YAML reads as true"),
    "motion empty": (
        film("defaults:\n  motion: # <-"),
        "defaults.motion is empty; give it a value, or leave",
    ),
    "steps zero": (film("defaults: {steps: 0} # <-"), "defaults.steps is 0", "1 to 1,000"),
    "steps octal": (
        film("defaults: {steps: 010} # <-"),
        "defaults.steps is 010, which YAML reads as 8; write 8",
    ),
    "seed too large": (
        film("defaults: {seed: 9223372036854775808} # <-"),
        "defaults.seed is 9223372036854775808",
    ),
    "seed negative": (
        film("defaults: {seed: -1} # <-"),
        "defaults.seed is -1, expected a whole number from 0",
    ),
    "guidance_trunc of two": (
        film("defaults: {guidance_trunc: 2} # <-"),
        "defaults.guidance_trunc is 2",
        "0 to 1",
    ),
    "flow_shift zero": (
        film("defaults: {flow_shift: 0} # <-"),
        "defaults.flow_shift is 0",
        "a positive number",
    ),
    "setting misspelt": (
        film("defaults: {guidence: 7} # <-"),
        'defaults has an unknown key "guidence"',
        "guidance?",
    ),
    "setting misspelt on a shot": (
        timed("sede: 7 # <-"),
        'shots[1] ("dusk") has an unknown key "sede"',
        "seed?",
    ),
    "setting wrong on a shot": (
        timed("steps: many # <-"),
        'shots[1] ("dusk"): steps is "many", expected a whole',
    ),
    # shots
    "id missing": (
        "version: 1\nmodel: tiny\nshots:\n  - prompt: b # <-\n    frames: 9",
        "shots[0] has no id, expected 1 to 64 of a-z",
    ),
    "id a number": (
        "version: 1\nmodel: tiny\nshots:\n  - id: 12 # <-\n    prompt: b\n    frames: 9",
        "shots[0]: id is 12, expected",
        'quote it: "12"',
    ),
    "id with a capital": (
        "version: 1\nmodel: tiny\nshots:\n  - prompt: b\n    frames: 9\n    id: Dawn # <-",
        'shots[0] ("Dawn"): id is "Dawn", expected 1 to 64 of a-z',
    ),
    "prompt missing": (
        "version: 1\nmodel: tiny\nshots:\n  - id: dusk # <-\n    frames: 9",
        'shots[0] ("dusk") has no prompt, expected a text',
    ),
    "prompt misspelt": (
        shot("prompt: fog\nframes: 9\npromt: fog # <-"),
        'shots[1] ("dusk") has an unknown key "promt". Did you mean prompt?',
    ),
    "prompt blank": (shot('prompt: "  " # <-\nframes: 9'), 'shots[1] ("dusk"): prompt is "  "', "not blank"),
    "prompt a list": (
        shot("prompt: [fog] # <-\nframes: 9"),
        'shots[1] ("dusk"): prompt is a list, expected a text',
    ),
    "prompt with an escape": (
        shot('prompt: "a\\e[31mb" # <-\nframes: 9'),
        r'prompt is "a\u001b[31mb", expected text without control characters',
    ),
    "prompt too long": (shot(f"prompt: {'a' * 10_001} # <-\nframes: 9"), 'prompt is "aaa', "at most 10,000"),
    "neither duration nor frames": (
        "version: 1\nmodel: tiny\nshots:\n  - id: dusk # <-\n    prompt: fog",
        'shots[0] ("dusk") has neither duration nor frames; give one, such as duration: 4s',
    ),
    "both duration and frames": (
        timed("frames: 9 # <-"),
        'shots[1] ("dusk") has both duration and frames; keep one',
    ),
    "frames zero": (shot("prompt: fog\nframes: 0 # <-"), 'shots[1] ("dusk"): frames is 0', "1 to 10,000,000"),
    "frames with a unit": (shot("prompt: fog\nframes: 9s # <-"), 'frames is "9s", expected a whole number'),
    "duration negative": (
        shot("prompt: fog\nduration: -4s # <-"),
        'shots[1] ("dusk"): duration is "-4s", expected a positive duration such as 4s or 1.5min',
    ),
    "duration zero": (
        shot("prompt: fog\nduration: 0s # <-"),
        'duration is "0s", expected a positive duration',
    ),
    "duration unitless": (shot("prompt: fog\nduration: 20 # <-"), "duration is 20, expected", "write 20s"),
    "duration a quoted number": (shot('prompt: fog\nduration: "20" # <-'), 'duration is "20"', "such as 4s"),
    "duration a clock": (
        shot("prompt: fog\nduration: 1:30 # <-"),
        "duration is 1:30, which YAML reads as 90, expected a positive duration",
        "write 90s",
    ),
    "duration a quoted clock": (
        shot('prompt: fog\nduration: "1:30" # <-'),
        'duration is "1:30"',
        "such as 4s",
    ),
    "duration empty": (shot("prompt: fog\nduration: # <-"), 'shots[1] ("dusk")', "duration", "such as"),
    "duration of no text": (shot('prompt: fog\nduration: "" # <-'), 'duration is "", expected', "such as 4s"),
    "duration yes": (
        shot("prompt: fog\nduration: yes # <-"),
        "duration is yes, which YAML reads as true",
        "4s",
    ),
    "duration in a strange unit": (
        shot("prompt: fog\nduration: 3 weeks # <-"),
        'duration is "3 weeks"',
        "such as 4s",
    ),
    "duration too long": (shot("prompt: fog\nduration: 25h # <-"), 'duration is "25h", expected at most 24h'),
    "duration units backwards": (
        shot("prompt: fog\nduration: 5s 1min # <-"),
        'duration is "5s 1min"',
        "such as 4s",
    ),
    # beats
    "beats a mapping": (
        timed("beats: {at: 1s, prompt: a} # <-"),
        "beats is a mapping, expected a list of at most",
    ),
    "beat without a time": (
        timed("beats: [{prompt: a}] # <-"),
        'shots[1] ("dusk"): beats[0] has neither at nor frame; give one, such as at: 4s',
    ),
    "beat with two times": (
        timed("beats: [{at: 1s, frame: 9, prompt: a}] # <-"),
        "beats[0] has both at and frame",
    ),
    "beat without a prompt": (timed("beats: [{at: 1s}] # <-"), "beats[0] has no prompt, expected a text"),
    "beat at frame zero": (timed("beats: [{frame: 0, prompt: a}] # <-"), "beats[0].frame is 0", "1 to"),
    "beats out of order": (
        timed("beats:\n  - {at: 3s, prompt: a}\n  - {at: 2.5s, prompt: b} # <-"),
        'shots[1] ("dusk"): beats[1] is at 2.5s, expected after 3s',
    ),
    "beats at the same time": (
        timed("beats:\n  - {at: 2s, prompt: a}\n  - {frame: 9, prompt: a}\n  - {at: 2000ms, prompt: b} # <-"),
        "beats[2] is at 2s, expected after 2s",
    ),
    "beat at the end": (
        timed("beats:\n  - at: 4s # <-\n    prompt: a"),
        "beats[0] is at 4s, expected before the shot's end, 4s",
    ),
    "beat beyond the last frame": (
        shot("prompt: fog\nframes: 24\nbeats: [{frame: 30, prompt: a}] # <-"),
        "beats[0] is at frame 30, expected before the shot's end, frame 24",
    ),
    # where a shot starts
    "two starts": (
        timed("continue: dawn\nimage: a.png # <-"),
        'shots[1] ("dusk") has continue and image',
        "one of",
    ),
    "continue of an unknown shot": (
        timed("continue: noon # <-"),
        'shots[1] ("dusk") continues "noon", which is not an earlier shot. Earlier: dawn.',
    ),
    "continue misspelt": (
        timed("continue: dwan # <-"),
        'continues "dwan"',
        "Did you mean dawn? Earlier: dawn.",
    ),
    "continue of itself": (
        timed("continue: dusk # <-"),
        'continues "dusk", which is itself, not an earlier shot',
    ),
    "continue of a later shot": (
        "version: 1\nmodel: tiny\nshots:\n"
        "  - {id: dawn, prompt: a, frames: 9, continue: dusk} # <-\n"
        "  - {id: dusk, prompt: a, frames: 9, continue: dawn}",
        'shots[0] ("dawn") continues "dusk", which is a later shot, not an earlier shot. It is the first',
    ),
    "continue no": (
        timed("continue: no # <-"),
        "continue is no, which YAML reads as false",
        'quote it: "no"',
    ),
    # assets
    "image missing": (
        timed("image: no.png # <-"),
        'shots[1] ("dusk"): image is "no.png", but there is no file',
        "no.png",
    ),
    "image from the web": (
        timed("image: https://x.org/a.png # <-"),
        'image is "https://x.org/a.png"',
        "not a URL",
    ),
    "image absolute": (timed("image: /etc/passwd # <-"), 'image is "/etc/passwd", expected a path relative'),
    "image above": (
        timed("image: ../a.png # <-"),
        'image is "../a.png", but',
        "outside the storyboard's folder",
    ),
    "image a folder": (timed("image: . # <-"), 'image is ".", but', "not a regular file"),
    "image of no name": (timed('image: "" # <-'), 'image is "", expected a path such as'),
    "image with a zero byte": (timed(r'image: "a\0b" # <-'), "image is", "without control characters"),
    "clip missing": (
        timed("video: clips/a.mp4 # <-"),
        'video is "clips/a.mp4", but there is no file',
        "clips/a.mp4",
    ),
    "clip a number": (timed("video: 12 # <-"), "video is 12, expected a path such as", 'quote it: "12"'),
    # YAML
    "a key twice": (film("title: a\ntitle: b # <-"), 'the key "title" is already on line 3; keep one'),
    "a key twice in a shot": (timed("prompt: b # <-"), 'the key "prompt" is already on line 6; keep one'),
    "an anchor": (film("title: &a fog # <-"), "anchors (&) and aliases (*) are not read"),
    "an alias": (film("title: *a # <-"), "anchors (&) and aliases (*) are not read"),
    "a merge key": (film("defaults:\n  <<: {steps: 9} # <-"), "merge keys (<<) are not read"),
    "a Python tag": (film("title: !!python/object/apply:os.system [ls] # <-"), "tags (!) are not read"),
    "a binary tag": (film("title: !!binary aGk= # <-"), "tags (!) are not read"),
    "a tag of one's own": (film("defaults: !mine {} # <-"), "tags (!) are not read"),
    "a tag that lies": (film("defaults: {steps: !!int many} # <-"), 'cannot read "many"; quote it'),
    "a key that is yes": (film("yes: 1 # <-"), "a key must be text; quote it"),
    "a key that is a list": (film("? [a]\n# <-".replace("\n", " ") + "\n: 1"), "a key must be text"),
    "no such day": (film("title: 2024-13-45 # <-"), 'cannot read "2024-13-45"; quote it if it is text'),
    "a very long number": (
        film(f"defaults: {{seed: {'9' * 5000}}} # <-"),
        "a number has at most 64 characters",
    ),
    "an equals sign": (film("title: = # <-"), 'cannot read "="; quote it if it is text'),
    "a colon in a text": (film("title: dawn: a film # <-"), "quote text that contains a colon"),
    "a tab as indent": (film("video:\n\twidth: 512 # <-"), "indent with spaces"),
    "a list that stays open": ("version: 1\nshots: [a\nmodel: b # <-\n", "not YAML: "),
    "an indent that changes": ("version: 1\nvideo:\n    width: 512\n  height: 320 # <-\n", "indented"),
    "a key that is indented too far": (
        "version: 1\nmodel: tiny\nshots:\n  - id: dawn\n     prompt: fog # <-\n    frames: 9\n",
        "this key is not indented like those it belongs to",
    ),
    "a key below a value": ("version: 1\nmodel: tiny\n  title: dawn # <-\n", "this key is not indented like those"),
    "two documents": ("version: 1\n--- # <-\nversion: 1", "a second document starts here"),
    "an escape out of range": (film(r'title: "\UFFFFFFFF" # <-'), "not YAML: an escape out of range"),
    "half a surrogate": (film(r'title: "\ud800" # <-'), r'title is "\ud800", expected'),
    "a list at the top": ("- version: 1 # <-", "expected a mapping with version, model and shots"),
    "a text at the top": ("hello # <-", "expected a mapping with version, model and shots"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_line_with_file_line_path_and_fix(name, tmp_path):
    text, *words = BAD[name]
    with pytest.raises(StoryboardError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/film.yaml:{marked_line(text)}: ")
    assert "\n" not in message
    assert [word for word in words if word not in message] == []
    assert re.search(r"Traceback|pydantic|validation error|Input should|<class|object at", message) is None


def test_the_corpus_is_large():
    assert len(BAD) >= 60
