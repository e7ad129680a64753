import xml.etree.ElementTree as ElementTree

import pyarrow.parquet as pq
import pytest

from tests.evaluation.drawing import DrawingModel
from ursa_ray.evaluation import __main__ as command
from ursa_ray.evaluation.rates import Rate
from ursa_ray.evaluation.report import svg_plot, text_table
from ursa_ray.model import Ursa

RATES = [Rate("colour", 19, 20), Rate("no strays", 20, 20)]


def test_the_table_has_a_line_a_rate_with_interval_and_bar():
    _, colour, strays = text_table(RATES).splitlines()
    assert colour.split() == ["colour", "0.950", "0.764", "to", "0.991", "19", "of", "20", "0.95"]
    assert strays.split() == ["no", "strays", "1.000", "0.839", "to", "1.000", "20", "of", "20"]


def test_the_plot_is_well_formed_and_names_every_rate():
    texts = [element.text for element in ElementTree.fromstring(svg_plot(RATES, "a < b & c")).iter() if element.text]
    assert {"a < b & c", "colour", "no strays"} <= set(texts)


def test_the_command_writes_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Ursa, "from_pretrained", lambda name, device: DrawingModel())
    assert command.main(["--model", "any", "--prompts", "12", "--out", str(tmp_path / "report")]) == 0
    assert capsys.readouterr().out == (tmp_path / "report" / "rates.txt").read_text()
    assert pq.read_table(tmp_path / "report" / "clips.parquet").num_rows == 12
    assert set(pq.read_table(tmp_path / "report" / "rates.parquet")["share"].to_pylist()) == {1.0}
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"clips.parquet", "rates.parquet", "rates.txt", "rates.svg", "contact-sheet.png"}


@pytest.mark.parametrize("num", ["0", "-3"])
def test_the_command_refuses_no_prompts(num: str, tmp_path, capsys):
    assert command.main(["--model", "any", "--prompts", num, "--out", str(tmp_path / "report")]) == 2
    assert f"--prompts is {num}, expected 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
