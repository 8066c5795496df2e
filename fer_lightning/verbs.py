"""The verbs beside Lightning's: each is a plain function whose docstring is its help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser

from fer_lightning.errors import FERError

VERBS = {
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
        own, others = _separate(words, ("name", "runs_dir", "folds", "seeds"))
        if others[:1] in (["--help"], ["-h"]):
            own, others = ["--help"], []
        from fer_lightning.evaluation.crossval import crossval

        crossval(options=others, **_parse(crossval, own, {"options"}))
    elif verb == "export":
        from fer_lightning.export import export

        export(**_parse(export, words, set()))
    elif verb == "compare":
        from fer_lightning.evaluation.compare import compare

        at = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
        compare(runs=list(words[:at]), **_parse(compare, words[at:], {"runs"}))
    else:
        from fer_lightning.audit import audit

        findings = audit(**_parse(audit, words, set()))
        if findings.failed:
            raise SystemExit(1)


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


class _Parser(ArgumentParser):
    def error(self, message: str, ex: Exception | None = None) -> Any:
        """Raise the message as the project's own error."""
        raise FERError(f"{message}\nAll options: {self.prog} --help") from ex
