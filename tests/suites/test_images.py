import json
import os

import pytest

from tests.suites import files
from ursa_ray.errors import OptionError
from ursa_ray.suites import read_dpg, read_geneval


def test_geneval_wants_four_images_of_each_prompt_in_a_numbered_folder(tmp_path):
    suite = read_geneval(files.geneval(tmp_path))
    assert [result.path for result in suite.results] == [
        *(f"00000/samples/0000{sample}.png" for sample in range(4)),
        *(f"00001/samples/0000{sample}.png" for sample in range(4)),
    ]
    assert {result.prompt for result in suite.results[4:]} == {"a photo of two cats"}


def test_geneval_keeps_each_prompts_line_beside_its_images(tmp_path):
    suite = read_geneval(files.geneval(tmp_path))
    assert {path: json.loads(text) for path, text in suite.notes.items()} == {
        "00000/metadata.jsonl": files.GENEVAL[0],
        "00001/metadata.jsonl": files.GENEVAL[1],
    }


def test_rewritten_geneval_prompts_go_by_their_id(tmp_path):
    suite = read_geneval(files.geneval(tmp_path), files.geneval_rewritten(tmp_path), num_samples=1)
    assert [result.prompt for result in suite.results] == ["a bench at length", "two cats at length"]
    assert json.loads(suite.notes["00001/metadata.jsonl"])["prompt"] == "a photo of two cats"


def test_a_rewritten_prompt_of_another_line_is_refused_with_both_places(tmp_path):
    path, metadata = tmp_path / "shifted.json", files.geneval(tmp_path)
    entries = [
        {"id": 1, "prompt": "a photo of a bench", "dense_prompt": "a bench at length"},
        {"id": 0, "prompt": "a photo of two cats", "dense_prompt": "two cats at length"},
    ]
    path.write_text(json.dumps(entries))
    with pytest.raises(OptionError) as refused:
        read_geneval(metadata, path)
    assert str(refused.value) == (
        f"{path}: entry 0: has id 1 and the prompt 'a photo of a bench', expected 'a photo of two cats' as in "
        f"{metadata}:2. Give the file that was made of these --prompts."
    )
    path.write_text(json.dumps([entry | {"id": 1 - entry["id"]} for entry in entries]))
    assert len(read_geneval(metadata, path, 1).results) == 2


def test_dpg_wants_one_grid_of_four_samples_named_as_the_prompts_file(tmp_path):
    suite = read_dpg(files.dpg(tmp_path))
    assert [(result.path, result.prompt, result.numbers) for result in suite.results] == [
        ("7.png", "five pairs of shoes", (0, 1, 2, 3)),
        ("vrd6.png", "a figure at the corner", (0, 1, 2, 3)),
    ]


def test_dpg_prompts_may_be_the_published_list(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"id": "111", "prompt": "shoes"}]))
    assert [result.path for result in read_dpg(path).results] == ["111.png"]


def test_a_sample_has_the_same_number_however_many_there_are_of_its_prompt(tmp_path):
    path = files.geneval(tmp_path)
    two, three = ({r.path: r.numbers for r in read_geneval(path, num_samples=n).results} for n in (2, 3))
    assert two.items() <= three.items()
    assert sorted(three.values()) == [(0,), (0,), (1,), (1,), (2,), (2,)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no prompts"),
        ("\n\n", "has no prompts"),
        ('{"tag": "counting"}', ":1: prompt is None, expected a text"),
        ('{"tag": "t", "prompt": "p"}\n{', ":2: Expecting property name"),
        ('{"tag": "t", "prompt": 3}', ":1: prompt is 3, expected a text"),
        ("[1]", "expected an object with tag, prompt"),
    ],
)
def test_a_geneval_file_that_is_none_is_refused_with_its_line(tmp_path, text, says):
    path = tmp_path / "evaluation_metadata.jsonl"
    path.write_text(text)
    with pytest.raises(OptionError, match=r"evaluation_metadata\.jsonl") as refused:
        read_geneval(path)
    assert says in str(refused.value)


def test_a_missing_or_binary_file_of_prompts_is_refused(tmp_path):
    with pytest.raises(OptionError, match="No such file"):
        read_geneval(tmp_path / "nothing.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="not UTF-8"):
        read_dpg(tmp_path / "binary")


def test_rewritten_prompts_that_lack_one_are_refused(tmp_path):
    (tmp_path / "few.json").write_text(json.dumps([{"id": 0, "dense_prompt": "a bench at length"}]))
    with pytest.raises(OptionError, match="has no entry with id 1, expected 0 to 1"):
        read_geneval(files.geneval(tmp_path), tmp_path / "few.json")


@pytest.mark.parametrize("name", ["../escape", "a/b", "", "."])
def test_an_id_that_would_leave_the_folder_is_refused(tmp_path, name):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"id": name, "prompt": "shoes"}]))
    with pytest.raises(OptionError, match=r"entry 0: .* cannot name a file"):
        read_dpg(path)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["a", "b", "a"], "entry 2: has the id 'a' of "),
        (["a.b"], "entry 0: 'a.b' has a dot"),  # compute_dpg_bench.py: `img_path.split('/')[-1].split('.')[0]`
    ],
)
def test_dpg_ids_that_the_scorer_would_take_for_others_are_refused(tmp_path, ids, says):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"id": name, "prompt": f"shoes {index}"} for index, name in enumerate(ids)]))
    with pytest.raises(OptionError, match=says):
        read_dpg(path)


def test_two_rewritten_prompts_of_one_id_are_refused(tmp_path):
    entries = [{"id": 0, "dense_prompt": text} for text in ("a bench at length", "another")]
    (tmp_path / "twice.json").write_text(json.dumps(entries))
    with pytest.raises(OptionError, match="entry 1: has the id 0 of an earlier one"):
        read_geneval(files.geneval(tmp_path), tmp_path / "twice.json")


def test_every_result_knows_where_its_prompt_is_from(tmp_path):
    metadata, rewritten, folder = files.geneval(tmp_path), files.geneval_rewritten(tmp_path), files.dpg(tmp_path)
    assert [r.where for r in read_geneval(metadata, num_samples=1).results] == [f"{metadata}:1", f"{metadata}:2"]
    assert [r.where for r in read_geneval(metadata, rewritten, 1).results] == [
        f"{rewritten}: entry 1",
        f"{rewritten}: entry 0",
    ]
    assert [r.where for r in read_dpg(folder).results] == [str(folder / "7.txt"), str(folder / "vrd6.txt")]


def test_a_pipe_is_no_file_of_prompts_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OptionError, match="is not a regular file"):
        read_geneval(tmp_path / "pipe")


def test_an_empty_folder_of_dpg_prompts_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"has no \.txt files"):
        read_dpg(tmp_path)
