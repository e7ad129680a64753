"""What the documents say is executed."""

import re
from pathlib import Path

import pytest
import yaml

from ursa_ray import cli, errors
from ursa_ray.storyboard import load_storyboard

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text()


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("snippet", snippets("python"))
def test_the_python_of_the_readme_runs(snippet):
    names = {}
    exec(snippet, names)
    assert names["frames"].shape == (17, 48, 64, 3)
    assert names["longer"].shape == names["codes"].shape


def test_the_storyboard_of_the_readme_is_the_quickstart(tmp_path):
    (snippet,) = snippets("yaml")
    (tmp_path / "readme.yaml").write_text(snippet)
    load_storyboard(tmp_path / "readme.yaml")
    assert yaml.safe_load(snippet) == yaml.safe_load((REPOSITORY / "storyboards" / "quickstart.yaml").read_text())


def test_the_readme_has_every_exit_code():
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.UrsaRayError)]
    assert documented == {0, cli.INTERRUPTED} | {kind.exit_code for kind in kinds}


def test_every_module_has_its_sentence_in_the_architecture():
    rows = re.findall(r"^\| (`.*?) \|", (REPOSITORY / "docs" / "architecture.md").read_text(), flags=re.MULTILINE)
    named = {Path(name).name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    modules = [path for path in (REPOSITORY / "ursa_ray").rglob("*.py") if not path.name.startswith("__")]
    assert sorted({path.stem for path in modules} - named) == []


def test_links_in_the_documents_lead_somewhere():
    for document in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]:
        targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", document.read_text())
        assert [target for target in targets if not (document.parent / target).exists()] == []


def test_every_test_that_the_documents_name_is_there():
    texts = [path.read_text() for path in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]]
    named = {name for text in texts for name in re.findall(r"\btest_\w+", text)}
    modules = list((REPOSITORY / "tests").rglob("test_*.py"))
    defined = {name for path in modules for name in re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)}
    assert named > {"test_bad_storyboards"}
    assert sorted(named - defined - {path.stem for path in modules}) == []
