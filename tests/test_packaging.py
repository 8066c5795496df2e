"""What is published: an sdist with all that is tracked, which alone makes the wheel; and what these say."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from fer_lightning import __version__
from tests.conftest import PROJECT


def build(kind: str, project: Path, place: Path) -> Path:
    """An sdist or a wheel, made without a network by what pyproject.toml names."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(place)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = place.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return found


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The folder that an sdist unpacks to."""
    place = tmp_path_factory.mktemp("sdist")
    shutil.unpack_archive(build("sdist", PROJECT, place), place)  # in all versions, with or without filters
    return place / f"fer_lightning-{__version__}"


@pytest.fixture(scope="module")
def wheel(unpacked, tmp_path_factory):
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel"))


def test_an_sdist_has_what_is_tracked_and_nothing_else(unpacked):
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no checkout")
    listed = ["git", "ls-files", "-z", "--cached"]
    tracked, known = (
        {name for name in subprocess.check_output(command, cwd=PROJECT, text=True).split("\0") if name}
        for command in (listed, [*listed, "--others", "--exclude-standard"])
    )
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert found - known == {"PKG-INFO"}  # also of files that are new
    there = {name for name in tracked if (PROJECT / name).is_file()}
    assert there - found == set(), "add it to [tool.hatch.build.targets.sdist] in pyproject.toml"


def test_an_sdist_alone_makes_the_same_wheel(wheel, tmp_path):
    theirs, ours = contents(wheel), contents(build("wheel", PROJECT, tmp_path))
    assert sorted(theirs) == sorted(ours)
    assert [name for name in ours if theirs[name] != ours[name]] == []


def test_a_wheel_has_the_package_and_its_recipes(wheel):
    names = set(contents(wheel))
    about = f"fer_lightning-{__version__}.dist-info"
    for name in ("py.typed", "configs/default.yaml", "configs/overlays/debug.yaml", "weights/pretrained.safetensors"):
        assert f"fer_lightning/{name}" in names
    assert f"{about}/licenses/LICENSE" in names
    assert {name.partition("/")[0] for name in names} == {"fer_lightning", about}
    assert not [name for name in names if name.endswith((".pyc", ".ckpt")) or "__pycache__" in name]


def test_what_an_index_shows_is_complete(wheel):
    content = contents(wheel)[f"fer_lightning-{__version__}.dist-info/METADATA"]
    said = Metadata.from_email(content, validate=True)  # as an index checks it
    assert (said.name, str(said.version)) == ("fer_lightning", __version__)
    assert said.license_expression == "Apache-2.0"
    assert said.license_files == ["LICENSE"]
    assert said.description_content_type == "text/markdown"
    assert message_from_bytes(content).get_payload().startswith("# ")
    assert said.summary
    assert said.keywords
    assert "Typing :: Typed" in said.classifiers
    assert str(said.requires_python) == ">=3.11"
    assert {"hub", "onnx", "serve", "timm", "video"} <= set(said.provides_extra)


@pytest.mark.slow
def test_types_are_seen_from_outside(wheel, tmp_path):
    """mypy --strict in an environment that has the wheel, and a program that uses what it exports."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "there")], check=True)
    (site,) = (tmp_path / "there").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    here = next(path for path in map(Path, sys.path) if (path / "torch").is_dir())
    (site / "others.pth").write_text(str(here))
    program = """
    from typing import assert_type

    from fer_lightning import (
        DataInfo, ExpressionClassifier, ExpressionCNN, ExpressionModel, ExpressionRecognizer, FERDataModule, FERError,
        InputSpec, __version__, load_model,
    )

    assert_type(__version__, str)
    model = load_model("pretrained")
    assert_type(model, ExpressionModel)
    assert_type(model.class_names, tuple[str, ...])
    assert_type(ExpressionRecognizer("mine").predict("photo.jpg").faces[0].probabilities, dict[str, float])
    assert_type(FERDataModule(image_size=64).info, DataInfo)
    assert_type(InputSpec(48).image_size, int)
    network = ExpressionCNN(8, 1, 48)
    ExpressionClassifier(network, DataInfo(("a", "b"), InputSpec()))
    try:
        load_model(3)
    except FERError:
        pass
    """
    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    python = tmp_path / "there/bin/python"
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    if "No module named mypy" in done.stderr:
        pytest.skip("mypy is not installed")
    assert done.stdout.splitlines()[:-1] == [
        'program.py:19: error: Argument 1 to "load_model" has incompatible type "int"; expected "str | PathLike[str]"  '
        "[arg-type]"
    ]
