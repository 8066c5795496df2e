"""The verbs beside Lightning's: each is a plain function whose docstring is its help."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser

from fer_lightning.errors import FERError

VERBS = {
    "predict": "Name the expressions in photographs and video.",
    "shares": "Estimate how frequent the classes are in pictures without labels, from the rows of predict.",
    "ferplus": "Make the FER+ data set from the two files that it is published as.",
    "audit": "Examine a data set before training: what is in it, what is wrong, what to do about it.",
    "crossval": "Train and test on every fold of a data set; mean and spread of every measure.",
    "export": "Write a checkpoint's network to a small file of its own.",
    "compare": "Compare runs on the same test images, with paired intervals and McNemar's test.",
}


def run_verb(verb: str, words: Sequence[str]) -> None:
    """Run one of `VERBS` with the words behind it.

    Raises:
        FERError: After a user's mistake.
        SystemExit: With status 1 if `audit` found what `--fail_on` names.
    """
    if verb == "crossval":
        own, others = _separate(words, ("name", "runs_dir", "folds", "seeds", "part"))
        if others[:1] in (["--help"], ["-h"]):
            own, others = ["--help"], []
        from fer_lightning.cli.crossval import crossval

        crossval(options=others, **_parse(crossval, own, {"options"}))
    elif verb == "predict":
        from fer_lightning.inference.predict import predict

        predict(**_parse(predict, _listed(words, "--input"), set()))
    elif verb == "shares":
        from fer_lightning.inference.estimate_prior import shares

        shares(**_parse(shares, words, set()))
    elif verb == "ferplus":
        from fer_lightning.data.sources.ferplus import ferplus

        ferplus(**_parse(ferplus, words, set()))
    elif verb == "export":
        from fer_lightning.data.datamodule import FERDataModule
        from fer_lightning.export.export import export

        images = [word for word in _pairs(words) if word.startswith("--data.")]
        own = [word for word in _pairs(words) if not word.startswith("--data.")]
        data = _given(FERDataModule, "data", images) if images else None
        export(**_parse(export, own, {"data"}), data=data)
    elif verb == "compare":
        from fer_lightning.evaluation.compare import compare

        at = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
        compare(runs=list(words[:at]), **_parse(compare, words[at:], {"runs"}))
    else:
        from fer_lightning.audit.audit import audit

        findings = audit(**_parse(audit, words, set()))
        if findings.failed:
            raise SystemExit(1)


def _listed(words: Sequence[str], option: str) -> list[str]:
    """Words in which the values behind an option stand as one JSON list, as a shell writes them one by one."""
    if option not in words:
        return list(words)
    start = list(words).index(option) + 1
    end = next((place for place in range(start, len(words)) if words[place].startswith("--")), len(words))
    return [*words[:start], json.dumps(list(words[start:end])), *words[end:]]


def _separate(words: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options called `names` with their values, and all other words."""
    own: list[str] = []
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        name = word.partition("=")[0].removeprefix("--")
        if not (word.startswith("--") and name in names):
            others.append(word)
            continue
        own.append(word)
        if "=" not in word:
            own += [value for value in [next(rest, None)] if value is not None]
    return own, others


def _parse(function: Callable[..., Any], words: Sequence[str], skip: set[str | int]) -> dict[str, Any]:
    parser = _Parser(description=(function.__doc__ or "").partition("\n")[0])
    parser.prog = f"{parser.prog} {function.__name__}"
    parser.add_function_arguments(function, skip=skip)
    values: dict[str, Any] = vars(parser.parse_args(list(words)))
    return values


def _pairs(words: Sequence[str]) -> list[str]:
    """Options written as two words as one, `--name=value`."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1].startswith("--") and "=" not in joined[-1] and not word.startswith("--"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _given(kind: type, name: str, words: Sequence[str]) -> dict[str, Any]:
    """The constructor arguments of a class that the words name, checked; not its defaults."""
    parser = _Parser()
    parser.add_class_arguments(kind, name)
    return dict(vars(parser.parse_args(list(words), defaults=False)[name]))


class _Parser(ArgumentParser):
    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Raise the message as the project's own error."""
        raise FERError(f"{message}\nAll options: {self.prog} --help") from ex
