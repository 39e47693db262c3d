"""What is in a wheel and what an editable install is: built by the backend that pip would call."""

from __future__ import annotations

import re
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from wheels import HOME, PACKAGES, build, copy_sources

import zoo


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("build") / "source")


@pytest.fixture(scope="module")
def wheel(tree: Path) -> zipfile.ZipFile:
    return build(tree, "build_wheel")


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_a_wheel_has_everything_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    kept = {name for name in wheel.namelist() if ".dist-info/" not in name}
    there = {
        path.relative_to(HOME).as_posix()
        for package in PACKAGES
        for path in (HOME / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kept == there
    assert {f"{name}/py.typed" for name in PACKAGES} <= kept


def test_what_pypi_shows(metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.11"
    told = metadata.get_all("Classifier") or []
    assert {f"Programming Language :: Python :: 3.{n}" for n in (11, 12, 13)} <= set(told)
    assert "Typing :: Typed" in told
    urls = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL") or [])
    assert urls.keys() == {"Repository", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(urls["Repository"]) for url in urls.values())
    assert (metadata["Name"], metadata["Version"]) == ("parity-zoo", zoo.__version__)


def test_the_readmes_links_lead_somewhere_from_pypi(metadata: Message) -> None:
    page = metadata.get_payload()
    repository = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]["urls"]
    beginning = f"{repository['Repository']}/blob/main/"
    prose = re.sub(r"```.*?```|`[^`]*`", "", page, flags=re.DOTALL)
    targets = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", prose, re.MULTILINE))
    used = {name.lower() for name in re.findall(r"\]\[([^\]]+)\]", prose)}
    assert used == targets.keys()
    for url in (*targets.values(), *re.findall(r"\]\(([^)]+)\)", prose)):
        assert url.startswith("https://"), f"{url}: PyPI shows it without a folder around it"
        if url.startswith(repository["Repository"]):
            assert (HOME / url.removeprefix(beginning)).is_file(), url


@pytest.mark.parametrize(("python", "there"), [("3.12", True), ("3.13", False)])
def test_all_is_without_mindspore_where_there_is_none(
    metadata: Message, python: str, there: bool
) -> None:
    wanted = [Requirement(entry) for entry in metadata.get_all("Requires-Dist") or []]

    def extras(of: str) -> set[str]:
        where = {"extra": of, "python_version": python}
        held = [r for r in wanted if r.marker and r.marker.evaluate(where)]
        nested = [extras(e) for r in held if r.name == "parity-zoo" for e in r.extras]
        return {r.name for r in held}.union(*nested)

    assert ("mindspore" in extras("all")) is there
    assert {"torch", "onnx", "openvino", "jinja2"} <= extras("all")
    assert "mindspore" in extras("mindspore")  # asked for by name, pip says that there is none


def test_an_editable_install_is_a_path(tree: Path) -> None:
    """Type checkers and editors follow a .pth file's paths; they run no import hook."""
    built = build(tree, "build_editable")
    (pth,) = (name for name in built.namelist() if name.endswith(".pth"))
    assert built.read(pth).decode().split() == [str(tree)]
    assert not [name for name in built.namelist() if name.endswith(".py")]


def test_without_the_setting_it_would_be_a_hook(tree: Path) -> None:
    """The negative control."""
    project = tree / "pyproject.toml"
    text = project.read_text()
    assert text.count('package-dir = { "" = "." }\n') == 1
    project.write_text(text.replace('package-dir = { "" = "." }\n', ""))
    try:
        built = build(tree, "build_editable")
    finally:
        project.write_text(text)
    assert [name for name in built.namelist() if name.endswith("_finder.py")]
