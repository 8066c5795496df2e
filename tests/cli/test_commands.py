"""The short help of every verb is true: its options are there, with these defaults, on one or two screens."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
import yaml
from jsonargparse import Namespace

from fer_lightning.cli import any_model, functions, trainer
from fer_lightning.cli.commands import OLD_VERBS, VERBS, Command, take
from fer_lightning.cli.configs import DEFAULT, recipes

FUNCTIONS = [command for command in VERBS.values() if command.entry]
TRAINING = [command for command in VERBS.values() if not command.entry]


def stated_defaults(command: Command) -> dict[str, str | None]:
    """The options that a help names, and the default that it says; None where it says none."""
    found = {name: re.search(r"\(default: (.*)\)$", text) for name, text in command.options.items()}
    return {name: match and match[1] for name, match in found.items()}


def shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@cache
def settings_of(verb: str) -> Namespace:
    """What one of Lightning's verbs does when nothing is said."""

    class OnlyParsed(trainer.FERCommandLine):
        def parse_arguments(self, parser, args):
            self.config = parser.parse_args([verb, "--config", str(DEFAULT)])

        def before_instantiate_classes(self):
            raise StopIteration(self.config[verb])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "FERCommandLine", OnlyParsed)
        with pytest.raises(StopIteration) as stop:
            trainer.run(verb, [])
    return stop.value.value


def real_default(settings: Any, name: str) -> Any:
    """The value of an option; a class by its name. KeyError if there is no such option."""
    for key in name.split("."):
        if settings is None:
            return None  # what it is within is not there by default
        inner = settings.get("init_args") if isinstance(settings, Namespace) else None
        settings = inner[key] if inner is not None and key in inner else settings[key]
    return settings["class_path"].rpartition(".")[2] if isinstance(settings, Namespace) else settings


@pytest.mark.parametrize("command", TRAINING, ids=lambda command: command.name)
def test_options_of_training_are_there_with_these_defaults(command: Command):
    for option, default in stated_defaults(command).items():
        if option in ("--predictions", "--callable", "--missing"):
            assert default in (None, any_model.parser_of(command.name).get_defaults()[option[2:]])
        elif option != "--config":
            found = real_default(settings_of(command.name), option.removeprefix("--"))
            assert default in (None, shown(found)), option


@pytest.mark.parametrize("command", FUNCTIONS, ids=lambda command: command.name)
def test_options_are_there_with_these_defaults(command: Command):
    parser, function = functions.parser_of(command)
    assert callable(function)
    defaults = parser.get_defaults()
    for option, default in stated_defaults(command).items():
        assert option in parser._option_string_actions or option in command.several
        assert default in (None, shown(defaults[option.removeprefix("--")])), option
    for name in command.renamed.values():
        assert f"--{name}" in parser._option_string_actions


@pytest.mark.parametrize("command", VERBS.values(), ids=VERBS)
def test_a_page_is_short_and_its_examples_are_of_its_own_options(command: Command):
    lines = command.page.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100
    named = re.findall(r"^  (-*[\w.]+) ", command.help, flags=re.MULTILINE)
    assert list(command.options) == named
    assert len(named) >= 2
    known = {option for fit in (command, *TRAINING * bool(command.rest)) for option in fit.options}
    known.add("--predictions")
    examples = re.findall(r"^  {program} (.*)", command.help, flags=re.MULTILINE)
    assert examples
    for example in examples:
        verb, *words = example.split()
        assert verb == command.name
        assert {word for word in words if word.startswith("--")} <= known
        for name in take(words, "--config")[0].get("config", []):
            assert name in recipes()


def test_the_recipes_that_fit_names_are_those_that_are_there():
    named = VERBS["fit"].options["--config"].partition("(")[2].partition(")")[0].split(", ")
    assert {"default", *named} == set(recipes())
    assert all(isinstance(yaml.safe_load(path.read_text()), dict) for path in recipes().values())


def test_old_verbs_lead_to_new_ones():
    assert set(OLD_VERBS.values()) <= set(VERBS)
    assert not set(OLD_VERBS) & set(VERBS)
