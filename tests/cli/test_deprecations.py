"""Every name of an earlier version still works, says the new one and the version in which it ends; and ends there."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from packaging.version import Version

from fer_lightning import __version__, deprecations
from fer_lightning.cli.commands import VERBS
from fer_lightning.cli.configs import layers
from fer_lightning.cli.functions import parser_of
from tests.conftest import PROJECT, flat

ALL_SETTINGS = {
    **deprecations.SETTINGS,
    **deprecations.SETTINGS_OF_CLASSES,
    **{f"{name} {old}": f"{name} {new}" for name, values in deprecations.VALUES.items() for old, new in values.items()},
}
GIVEN = {"model.schedule": "cosine", "model.loss.class_weights": "inverse", "model.loss.focal_gamma": "2"}


def test_they_end_in_a_later_version_than_this():
    assert Version(__version__) < Version(deprecations.ENDS), "delete them, as CONTRIBUTING.md says"


@pytest.mark.parametrize("old", ALL_SETTINGS)
def test_a_setting_works_as_an_option_and_in_a_configuration(old):
    name, _, value = old.partition(" ")
    value = value or GIVEN.get(name, "0.5")
    settings: dict = {}
    inner = settings
    *above, last = name.split(".")
    for part in above:
        inner = inner.setdefault(part, {})
    inner[last] = yaml.safe_load(value)
    new = ALL_SETTINGS[old]
    for words in ([f"--{name}", value], [f"--{name}={value}"], ["--config", yaml.safe_dump(settings)]):
        said: list[str] = []
        given, left = layers(words, said.append)
        assert left == []
        assert f"Note   --{old} is now --{new}; the old name ends in version {deprecations.ENDS}." in said
        found = given[-1].settings if "--config" not in words else given[0].settings
        setting, _, kind = new.partition(" ")
        for part in setting.split("."):
            inner = found.get("init_args", found)
            found = inner[part]
        if kind:
            assert found == kind or found["class_path"].endswith(f".{kind}")
        else:
            assert found == yaml.safe_load(value)


@pytest.mark.parametrize("old", deprecations.SETTINGS_GONE)
def test_a_setting_without_a_successor_is_left_out(old):
    said: list[str] = []
    given, left = layers([f"--{old}", "true"], said.append)
    why = deprecations.SETTINGS_GONE[old]
    assert said == [f"Note   --{old} is gone: {why}. It is an error in version {deprecations.ENDS}."]
    assert (given[-1].settings, left) == ({"model": {}}, [])


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROJECT / "train.py"), *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("verb", deprecations.OPTIONS)
def test_an_option_is_taken_for_the_new_one(verb):
    options = parser_of(VERBS[verb])[0]._option_string_actions
    for old, new in deprecations.OPTIONS[verb].items():
        assert f"--{old}" not in options
        assert f"--{new}" in options
        done = run(verb, f"--{old}", "nonsense", *(["x.jpg"] if verb == "predict" else []))
        said = f"Note   --{old} is now --{new}; the old name ends in version {deprecations.ENDS}.\n"
        assert done.stderr.startswith(said)
        assert new in done.stderr.removeprefix(said)  # which does not take that
        assert done.returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("verb", deprecations.OPTIONS_GONE)
def test_an_option_without_a_successor_is_left_out(verb):
    for old, why in deprecations.OPTIONS_GONE[verb].items():
        done = run(verb, f"--{old}", "onnx", "--ckpt_path", "nothing", "--output", "a.onnx")
        said = f"Note   --{old} is gone: {why}. It is an error in version {deprecations.ENDS}."
        assert flat(said) in flat(done.stderr)
        assert "found nothing at 'nothing'" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("old", deprecations.VERBS)
def test_a_verb_is_the_new_one(old):
    done, new = run(old, "--help"), deprecations.VERBS[old]
    assert done.stderr == f"Note   The verb {old} is now {new}; the old name ends in version {deprecations.ENDS}.\n"
    assert done.stdout.startswith(f"{new}: {VERBS[new].summary}.")
    assert done.returncode == 0
