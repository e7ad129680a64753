import xml.etree.ElementTree as ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.evaluation.drawing import DrawingModel
from ursa_ray.evaluation import command
from ursa_ray.evaluation.figures import Mean, Rate
from ursa_ray.evaluation.plots import plot_bars, plot_lines
from ursa_ray.evaluation.report import text_table
from ursa_ray.model import Ursa

PARTS = {
    "adherence": [Rate("colour", 19, 20), Rate("no strays", 20, 20)],
    "joins": [Mean("seam ratio", (1.5, 1.5))],
}
SMALL = ["--prompts", "2", "--chains", "2", "--extensions", "1", "--films", "2", "--seconds", "2", "--steps", "2"]


def test_the_table_has_a_heading_for_every_part_and_a_line_for_every_figure():
    heading, colour, strays, _, joins, seam = text_table(PARTS).splitlines()
    assert (heading.split()[0], joins.split()[0]) == ("adherence", "joins")
    assert colour.split() == ["colour", "0.950", "0.764", "to", "0.991", "19", "of", "20", "0.95"]
    assert strays.split() == ["no", "strays", "1.000", "0.839", "to", "1.000", "20", "of", "20"]
    assert seam.split() == ["seam", "ratio", "1.500", "1.500", "to", "1.500", "mean", "of", "2"]


def texts(svg: str) -> set[str]:
    return {element.text for element in ElementTree.fromstring(svg).iter() if element.text}


def test_the_plot_is_well_formed_and_names_every_figure():
    assert {"a < b & c", "colour", "no strays"} <= texts(plot_bars(PARTS["adherence"], "a < b & c", {"colour": 0.95}))


def test_bars_and_values_past_one_stay_inside_the_plot():
    svg = ElementTree.fromstring(plot_bars(PARTS["joins"], "joins", {}))
    bars = [element for element in svg.iter() if element.tag.endswith("rect") and element.get("x") is not None]
    assert [float(bar.get("width", 0)) for bar in bars] == [420]


def test_lines_leave_out_seconds_without_a_number():
    svg = ElementTree.fromstring(plot_lines({"colour": np.array([[1.0, np.nan, 0.5]])}, "drift"))
    film, mean = [element.get("points", "") for element in svg.iter() if element.tag.endswith("polyline")]
    assert len(film.split()) == len(mean.split()) == 2


def test_the_command_measures_every_part(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Ursa, "from_pretrained", lambda name, device: DrawingModel())
    arguments = ["--prompts", "12", "--chains", "3", "--films", "4", "--seconds", "5"]
    assert command.main(["--model", "any", "--out", str(tmp_path / "report"), *arguments]) == 0
    assert capsys.readouterr().out == (tmp_path / "report" / "figures.txt").read_text()
    tables = {path.stem: pq.read_table(path) for path in (tmp_path / "report").glob("*.parquet")}
    rows = {name: table.num_rows for name, table in tables.items() if name != "figures"}
    assert rows == {"adherence": 12, "joins": 3, "drift": 4 * 5}
    assert len(set(tables["drift"]["background"].to_pylist())) == 4
    figures = {(row["part"], row["name"]): row["value"] for row in tables["figures"].to_pylist()}
    assert {value for (part, _), value in figures.items() if part == "adherence"} == {1.0}
    assert figures["drift", "object present"] == figures["drift", "colour kept"] == 1.0
    assert figures["joins", "direction kept, first extension"] == 1.0
    names = {path.name for path in (tmp_path / "report").iterdir() if path.suffix != ".parquet"}
    assert names == {"figures.txt", "contact-sheet.png", "seconds.txt", "seconds.svg"} | {
        f"{part}.svg" for part in ("adherence", "joins", "drift")
    }


def test_parts_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(Ursa, "from_pretrained", lambda name, device: DrawingModel())
    arguments = ["--out", str(tmp_path / "report"), "--parts", "joins", "--chains", "1"]
    assert command.main(["--model", "any", *arguments]) == 0
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"figures.txt", "figures.parquet", "joins.parquet", "joins.svg"}


def test_the_figures_do_not_depend_on_the_number_of_processes(tmp_path, capsys):
    reports = []
    for processes in ("1", "2"):
        folder = tmp_path / processes
        arguments = ["--model", "tiny", "--device", "cpu", "--out", str(folder), "--processes", processes, *SMALL]
        assert command.main(arguments) == 0
        reports.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert reports[0] == reports[1]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_model_that_is_nowhere_is_one_message(processes: str, tmp_path, capsys):
    arguments = ["--model", "./nowhere", "--out", str(tmp_path / "report"), "--processes", processes]
    assert command.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nowhere" in line


@pytest.mark.parametrize("option", ["prompts", "chains", "films", "seconds", "extensions", "processes"])
@pytest.mark.parametrize("num", ["0", "-3"])
def test_the_command_refuses_to_measure_nothing(option: str, num: str, tmp_path, capsys):
    assert command.main(["--model", "any", f"--{option}", num, "--out", str(tmp_path / "report")]) == 2
    assert f"--{option} is {num}, expected 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
