import json

import pytest

from tests.suites import files
from ursa_ray.errors import OptionError
from ursa_ray.suites import read_vbench, read_vbench_i2v


def test_vbench_clips_are_named_by_prompt_and_number_in_one_folder(tmp_path):
    suite = read_vbench(files.vbench(tmp_path), dimensions=["color"])
    assert [result.path for result in suite.results] == [f"a red bicycle-{sample}.mp4" for sample in range(5)]


def test_flicker_has_25_clips_since_its_filter_takes_those_that_stand_still(tmp_path):
    suite = read_vbench(files.vbench(tmp_path), dimensions=["temporal_flickering"])
    assert [result.path for result in suite.results] == [f"In a still frame, a stop sign-{i}.mp4" for i in range(25)]


def test_a_prompt_that_is_there_twice_is_sampled_once(tmp_path):
    suite = read_vbench(files.vbench(tmp_path))
    paths = [result.path for result in suite.results]
    assert len(paths) == len(set(paths)) == 25 + 5 + 5
    assert [result.numbers for result in suite.results] == [
        (number,) for count in (25, 5, 5) for number in range(count)
    ]


def test_rewritten_vbench_prompts_go_by_line_and_names_stay_short(tmp_path):
    short, long = tmp_path / "all_dimension.txt", tmp_path / "all_dimension_longer.txt"
    short.write_text("a red bicycle\na cat\n")
    long.write_text("A vibrant red bicycle stands alone.\nA cat at length.")
    suite = read_vbench(short, long, num_samples=1)
    assert [(result.path, result.prompt) for result in suite.results] == [
        ("a red bicycle-0.mp4", "A vibrant red bicycle stands alone."),
        ("a cat-0.mp4", "A cat at length."),
    ]


def test_rewritten_prompts_may_go_by_entry_so_that_flicker_keeps_its_25_clips(tmp_path):
    short, long = files.vbench(tmp_path), tmp_path / "all_dimension_longer.txt"
    long.write_text("A sign at length.\nA bicycle at length.\nUkiyo prints at length.\nMore Ukiyo prints at length.\n")
    texts = [result.prompt for result in read_vbench(short, long).results]
    assert texts == 25 * ["A sign at length."] + 5 * ["A bicycle at length."] + 5 * ["More Ukiyo prints at length."]
    (result,) = read_vbench(short, long, ["color"], num_samples=1).results
    assert (result.path, result.prompt, result.where) == (
        "a red bicycle-0.mp4",
        "A bicycle at length.",
        f"{long}:2",
    )


def test_rewritten_prompts_in_another_order_are_refused_since_clips_would_be_of_other_prompts(tmp_path):
    short, long = tmp_path / "all_dimension.txt", tmp_path / "all_dimension_longer.txt"
    short.write_text("a red bicycle\na green bird\nsome wooden furniture\na person swimming\nUkiyo\n")
    long.write_text("A person swimming at length.\nA red bicycle.\nA green bird.\nWooden furniture.\nUkiyo prints.\n")
    with pytest.raises(OptionError) as refused:
        read_vbench(short, long)
    assert str(refused.value) == (
        f"{long}:1: shares no word with 'a red bicycle', and 4 of 5 lines share none with theirs: they are in another "
        f"order than those of {short}, or of other prompts. Give VBench's own all_dimension_longer.txt, or a folder of "
        "pairs such as color.txt and color_longer.txt."
    )


def test_one_rewritten_prompt_in_five_may_be_in_words_of_its_own(tmp_path):
    short, long = tmp_path / "all_dimension.txt", tmp_path / "all_dimension_longer.txt"
    short.write_text("a red bicycle\na flamingo\nsome wooden furniture\na person swimming\nUkiyo\n")
    long.write_text("A bicycle.\nA pink bird stands on one leg.\nFurniture.\nSomeone is swimming.\nUkiyo prints.\n")
    assert len(read_vbench(short, long, num_samples=1).results) == 5


def test_rewritten_prompts_of_a_folder_go_by_what_the_short_ones_say_in_any_language(tmp_path):
    for name, text in (
        ("appearance_style", "Ukiyo\n"),
        ("appearance_style_longer", "Holzschnitte\n"),
        ("color", "a red bicycle\n"),
        ("color_longer", "Ein Fahrrad, ganz rot\n"),
        ("temporal_flickering", "In a still frame, a stop sign\n"),
        ("temporal_flickering_longer", "Ein Schild\n"),
    ):
        (tmp_path / f"{name}.txt").write_text(text)
    suite = read_vbench(files.vbench(tmp_path), tmp_path, num_samples=1)
    assert [(result.path, result.prompt) for result in suite.results] == [
        ("In a still frame, a stop sign-0.mp4", "Ein Schild"),
        ("a red bicycle-0.mp4", "Ein Fahrrad, ganz rot"),
        ("Ukiyo-0.mp4", "Holzschnitte"),
    ]
    assert suite.results[1].where == f"{tmp_path / 'color_longer.txt'}:1"
    (tmp_path / "color_longer.txt").write_text("Ein Fahrrad\nnoch eines\n")
    with pytest.raises(OptionError, match=r"color_longer\.txt: has 2 prompts, expected the 1 of .*color\.txt"):
        read_vbench(files.vbench(tmp_path), tmp_path)
    for name in ("color.txt", "color_longer.txt"):
        (tmp_path / name).unlink()
    with pytest.raises(OptionError, match=r"no rewritten prompt for 'a red bicycle' of .*entry 1 \(1 of 4 are missing"):
        read_vbench(files.vbench(tmp_path), tmp_path)


@pytest.mark.parametrize("dimensions", [["temporal_flickering", "color"], ["color", "temporal_flickering"]])
def test_a_prompt_of_two_entries_has_as_many_clips_as_either_asks_for(tmp_path, dimensions):
    path = tmp_path / "VBench_full_info.json"
    path.write_text(json.dumps([{"prompt_en": "a stop sign", "dimension": [name]} for name in dimensions]))
    assert len(read_vbench(path).results) == 25


def test_the_files_of_another_suite_are_not_read_as_prompts(tmp_path):
    with pytest.raises(OptionError, match=r"evaluation_metadata\.jsonl:1: is JSON, expected a prompt"):
        read_vbench(files.geneval(tmp_path))
    with pytest.raises(OptionError, match=r"prompts\.json:1: is JSON, expected a prompt"):
        read_vbench(files.vbench(tmp_path), files.geneval_rewritten(tmp_path))


def test_image_to_video_begins_with_the_suites_image(tmp_path):
    (tmp_path / "a beach.jpg").touch()
    suite = read_vbench_i2v(files.vbench_i2v(tmp_path), tmp_path, num_samples=1)
    assert [(result.path, result.image) for result in suite.results] == [
        ("a beach-0.mp4", tmp_path / "a beach.jpg"),
        ("a beach, camera pans left-0.mp4", tmp_path / "a beach.jpg"),
    ]


def test_missing_images_are_told_before_anything_is_sampled(tmp_path):
    with pytest.raises(OptionError, match=r"a beach\.jpg: there is no such image \(1 missing in all\)"):
        read_vbench_i2v(files.vbench_i2v(tmp_path), tmp_path)


def test_an_unknown_dimension_is_told_with_those_there_are(tmp_path):
    with pytest.raises(
        OptionError, match=r"no dimension 'colour'\. It has: appearance_style, color, temporal_flickering"
    ):
        read_vbench(files.vbench(tmp_path), dimensions=["color", "colour"])


def test_dimensions_need_the_file_that_tells_them(tmp_path):
    (tmp_path / "all_dimension.txt").write_text("a cat\n")
    with pytest.raises(OptionError, match=r"Give VBench_full_info\.json"):
        read_vbench(tmp_path / "all_dimension.txt", dimensions=["color"])


def test_rewritten_prompts_of_another_number_are_refused(tmp_path):
    (tmp_path / "short.txt").write_text("a\nb\n")
    (tmp_path / "long.txt").write_text("A\n")
    with pytest.raises(OptionError, match="has 1 prompts, expected the 2 of"):
        read_vbench(tmp_path / "short.txt", tmp_path / "long.txt")


@pytest.mark.parametrize(
    "content", ["[]", '{"prompt_en": "a"}', "[{]", '[{"prompt_en": "a/b", "dimension": []}]', "[3]"]
)
def test_a_file_that_is_no_suite_is_refused(tmp_path, content):
    path = tmp_path / "VBench_full_info.json"
    path.write_text(content)
    with pytest.raises(OptionError, match=r"VBench_full_info\.json"):
        read_vbench(path)


def test_image_names_cannot_leave_their_folder(tmp_path):
    path = tmp_path / "vbench2_i2v_full_info.json"
    path.write_text(json.dumps([{"prompt_en": "a", "dimension": [], "image_name": "../../etc/passwd"}]))
    with pytest.raises(OptionError, match="cannot name a file"):
        read_vbench_i2v(path, tmp_path)
