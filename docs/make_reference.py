"""Write the pages that the code knows better than a person: `python docs/make_reference.py`.

`--check` writes nothing, says which committed page is stale, and ends with status 1 if one is.
"""

import re
import sys
from argparse import Action
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from made_pages import MADE, table
from zoo_page import zoo_page

from fer_lightning.cli.commands import VERBS, Command
from fer_lightning.cli.functions import parser_of
from fer_lightning.cli.kinds import kinds
from fer_lightning.cli.parser import OneMessage
from fer_lightning.cli.trainer import FERCommandLine, _Parser
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.networks.rebuilding import LINKED
from fer_lightning.training.classifier import ExpressionClassifier

HERE = Path(__file__).parent

LIGHTNINGS = re.compile(
    r"- \*\*`--((trainer|early_stopping|checkpoint_best)\.|weights_only|verbose|print_config|ckpt_path|seed).*\n"
)
"""Lines that a release of Lightning may change: `--check` does not look at them."""

EXCHANGED = {
    "model.network": ("ExpressionCNN", "CompactResNet", "TorchvisionModel", "TimmModel"),
    "model.loss": ("CrossEntropy", "WeightedCrossEntropy", "FocalLoss"),
    "model.lr_scheduler": ("WarmupCosine",),
    "model.distillation": ("Distillation",),
    "data.augmentation": ("Augmentation",),
    "data.sampling": ("BalancedSampling",),
}
"""The classes of ours that an option may name; the first one is its default, but for scheduler and distillation."""

ROOMS = {
    "model.network": "fer_lightning.networks",
    "model.loss": "fer_lightning.training.losses",
    "model.lr_scheduler": "fer_lightning.training.schedules",
    "model.distillation": "fer_lightning.training.distillation",
    "data.augmentation": "fer_lightning.data.augmentation",
    "data.sampling": "fer_lightning.data.sampling",
}
GROUPS = {
    "": "The run",
    "data": "Data",
    "model": "Model",
    "checkpoint_last": "Last checkpoint",
    "early_stopping": "Early stopping (Lightning's)",
    "checkpoint_best": "Best checkpoint (Lightning's)",
    "trainer": "Trainer (Lightning's)",
}


class _Stop(Exception):  # noqa: N818 (no error: the parsers are there)
    pass


class _OnlyParsers(FERCommandLine):
    """The command line up to the point at which its parsers are there."""

    def parse_arguments(self, parser: Any, args: Any) -> None:
        raise _Stop(self._subcommand_parsers)


def trainer_parsers() -> Mapping[str, Any]:
    """The parsers of Lightning's verbs, with the defaults that hold when nothing is said."""
    try:
        _OnlyParsers(
            ExpressionClassifier,
            FERDataModule,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_class=_Parser,
            args=["fit"],
        )
    except _Stop as stop:
        found: Mapping[str, Any] = stop.args[0]
        return found
    raise AssertionError("LightningCLI parsed nothing")


def options_of(parser: Any) -> dict[str, Action]:
    """The options of a parser that a user sets, by name; positional arguments without dashes."""
    found = {}
    for action in parser._actions:
        hidden = action.dest == "help" or action.dest.endswith(".help") or type(action).__name__ == "ActionLink"
        if not hidden and type(action).__name__ != "_ActionConfigLoad":
            name = next((name for name in action.option_strings if name.startswith("--")), action.dest)
            found[name] = action
    return found


def kind(hint: Any) -> str:
    """What an option takes, in words: those to choose from as code, behind the others."""
    found = kinds(hint)
    words = ", ".join(f"`{one[1:-1]}`" for one in found if one.startswith("'"))
    return " or ".join([*(one for one in found if not one.startswith("'")), *([words] if words else [])])


def shown(value: Any) -> str:
    """A default as one writes it on the command line; nothing where there is none."""
    if value is None or str(value) == "==SUPPRESS==":
        return ""
    if hasattr(value, "get") and value.get("class_path"):
        value = value.get("class_path").rpartition(".")[2]
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, list | tuple):
        value = f"[{', '.join(map(str, value))}]"
    return f"`{value}`" if str(value) else ""


def told(text: str, sentences: int = 0) -> str:
    """A docstring's text as Markdown for a cell: its markup replaced, and only its first sentences if asked for."""
    text = re.split(r"\n\n|::\n|\nExample|\.\. ", text or "")[0]
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    text = re.sub(r" ?Default: .*$", "", " ".join(text.split()))
    if sentences:
        text = " ".join(re.split(r"(?<=[^.][.]) (?=[A-Z])", text)[:sentences])
    text = re.sub(r"`[^`]*`|<", lambda found: "&lt;" if found[0] == "<" else found[0], text)
    return text[:1].upper() + text[1:]


def without_default(said: str) -> tuple[str, str]:
    """What the short help says of an option, and the default that it states, apart."""
    text, _, default = said.removesuffix(")").partition(" (default: ")
    return (text, f"`{default}`") if default else (said, "")


def item(name: str, value: str, default: str, said: str) -> str:
    """An option in a list, which a telephone can show where a table is too wide."""
    facts = "; ".join(fact for fact in (value, f"default {default}" if default else "") if fact)
    return f"- **`{name}`** {facts}{'<br>' if said else ''}{said}\n"


def option_list(options: Mapping[str, Action], texts: Mapping[str, str] = {}, sentences: int = 0) -> str:
    """The list of some options: `texts` are those of the short help where it has one."""
    items = []
    for name, action in options.items():
        hint = getattr(action, "_typehint", None) or action.type
        said = without_default(texts[name])[0] if name in texts else told(action.help or "", sentences)
        value = "several values" if action.nargs in ("+", "*") else kind(hint) if hint else ""
        items.append(item(name, value, shown(action.default), said))
    return "".join(items) + "\n"


def class_tables(option: str) -> str:
    """The options of the classes that an option may name."""
    text = ""
    for name in EXCHANGED[option]:
        parser = OneMessage()
        parser.add_class_arguments(getattr(import_module(ROOMS[option]), name), skip={"optimizer", *LINKED})
        of_class = {f"--{option}.{found[2:]}": action for found, action in options_of(parser).items()}
        of_class = {found: action for found, action in of_class.items() if not found.endswith(".config")}
        text += f"#### `--{option} {name}`\n\n"
        text += option_list(of_class) if of_class else "It has no options.\n\n"
    return text


def verb_section(command: Command, parser: Any, others: Callable[[Mapping[str, Action]], str]) -> str:
    """What the page says of a verb; `others` writes the options that the short help does not name."""
    usage, about, *_ = command.help.strip().replace("{program}", "fer").split("\n\n")
    examples = re.findall(r"^  (\{program\} .+)$", command.help, flags=re.MULTILINE)
    options = options_of(parser)
    first = {name: options[name] for name in command.options if name in options}
    within = {name: text for name, text in command.options.items() if name not in options and name.startswith("--")}
    rest = {name: action for name, action in options.items() if name not in first}
    text = f"## {command.name}\n\n{command.summary[0].upper()}{command.summary[1:]}.\n\n"
    text += f"```text\n{usage}\n```\n\n{' '.join(about.split())}\n\n"
    text += "```text\n" + "\n".join(example.replace("{program}", "fer") for example in examples) + "\n```\n\n"
    text += f"### {command.name}: what people use\n\n" + option_list(first, command.options)
    if within:
        items = [item(name, "", *reversed(without_default(said))) for name, said in within.items()]
        text += f"Options of the classes that these name:\n\n{''.join(items)}\n"
    return text + others(rest)


def plain_rest(command: Command) -> Callable[[Mapping[str, Action]], str]:
    """How the other options of a verb of ours are shown."""

    def write(rest: Mapping[str, Action]) -> str:
        text = f"### {command.name}: all others\n\n{option_list(rest)}" if rest else ""
        if command.rest:
            text += "All options of [fit](#fit) may be given as well.\n\n"
        return text

    return write


def fit_rest(rest: Mapping[str, Action]) -> str:
    """How the other options of `fit` are shown: by what they are for, Lightning's own apart."""
    text = "### fit: all others\n\n"
    for group, title in GROUPS.items():
        own = {name: one for name, one in rest.items() if (name[2:].partition(".")[0] if "." in name else "") == group}
        text += f"#### {title}\n\n" + option_list(own, sentences=1 if "Lightning" in title else 0)
    text += "### fit: options of the classes that options name\n\n"
    text += "With `--model.network CompactResNet`, say, its own options are `--model.network.widths` and so on.\n\n"
    return text + "".join(class_tables(option) for option in EXCHANGED)


def same_as_fit(known: Mapping[str, Action]) -> Callable[[Mapping[str, Action]], str]:
    """How the other options of `validate` and `test` are shown: only those that `fit` has not."""

    def write(rest: Mapping[str, Action]) -> str:
        own = {name: action for name, action in rest.items() if name not in known}
        also = (
            "The options `--data.*`, `--model.*` and `--trainer.*` of [fit](#fit) change what the checkpoint says.\n\n"
        )
        return also + (option_list(own, sentences=1) if own else "")

    return write


def cli_page() -> str:
    """The page about the command line."""
    text = f"# Command line\n\n{MADE}"
    text += (
        "`fer` is what the package installs; in a checkout, `python train.py` is the same, and so is "
        "`python -m fer_lightning`. `fer VERB --help` answers at once with the options that people use, `--help_all` "
        "with every one. Values with spaces, brackets or braces stand in quotes: "
        "`--data.classes '[anger, fear]'`.\n\n"
        "Every option of `fit`, `validate`, `test` and `crossval` is also a line of a YAML file "
        "(`--config FILE`): `--data.image_size 48` is `data: {image_size: 48}`. Later files win over earlier ones, "
        "options over all. A class is named by its path, `my_parts.TinyNet`, or, if it is ours, by its name alone.\n\n"
        "The exit status is 0 after success, 2 after a mistake that a user can put right "
        "([what the messages mean](../errors.md)), 1 where `audit` found what `--fail_on` names, 130 after Ctrl-C, "
        "143 after SIGTERM, 129 after SIGHUP.\n\n"
    )
    text += table([(f"[{name}](#{name})", f"{one.summary}") for name, one in VERBS.items()], ("verb", "what it does"))
    parsers = trainer_parsers()
    known = options_of(parsers["fit"])
    for name, command in VERBS.items():
        if command.entry:
            text += verb_section(command, parser_of(command)[0], plain_rest(command))
        else:
            text += verb_section(command, parsers[name], fit_rest if name == "fit" else same_as_fit(known))
    return text.rstrip() + "\n"


def own_part(page: str) -> str:
    """A page without the lines that a release of Lightning may change."""
    return LIGHTNINGS.sub("", page)


PAGES: dict[str, Callable[[], str]] = {"reference/cli.md": cli_page, "model_zoo.md": zoo_page}


def stale_pages(folder: Path = HERE) -> list[str]:
    """The pages in a folder that do not say what the code says."""
    found = []
    for name, made in PAGES.items():
        path = folder / name
        if not path.is_file() or own_part(path.read_text(encoding="utf-8")) != own_part(made()):
            found.append(name)
    return found


if __name__ == "__main__":
    if "--check" in sys.argv:
        if stale := stale_pages():
            sys.exit(f"Stale: {', '.join(stale)}. Run python docs/make_reference.py and commit what it writes.")
    else:
        for name, made in PAGES.items():
            (HERE / name).write_text(made(), encoding="utf-8")
