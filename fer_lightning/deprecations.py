"""Names of an earlier version that still work: what they are now, and where they end. deprecated.toml has them all."""

import tomllib
from pathlib import Path

_SAID = tomllib.loads(Path(__file__).with_name("deprecated.toml").read_text(encoding="utf-8"))

ENDS: str = _SAID["ends"]
"""The version in which they are no longer taken."""

VERBS: dict[str, str] = _SAID["verbs"]
"""Verbs, and what they are called now."""

OPTIONS: dict[str, dict[str, str]] = _SAID["options"]
"""Of a verb that is a function: options, and what they are called now."""

OPTIONS_GONE: dict[str, dict[str, str]] = _SAID["options_gone"]
"""Of a verb that is a function: options without a successor, and why they have none."""

SETTINGS: dict[str, str] = _SAID["settings"]
"""Settings of a training, and what they are called now."""

SETTINGS_OF_CLASSES: dict[str, str] = _SAID["settings_of_classes"]
"""Settings of a training that are a class now: the setting, and the class."""

SETTINGS_GONE: dict[str, str] = _SAID["settings_gone"]
"""Settings of a training without a successor, and why they have none."""

VALUES: dict[str, dict[str, str]] = _SAID["values"]
"""Values of settings, and how they are spelled now."""


def renamed(old: str, new: str) -> str:
    """The line for an old name that was used."""
    return f"Note   {old} is now {new}; the old name ends in version {ENDS}."


def gone(old: str, why: str) -> str:
    """The line for an old name without a successor: it was left out."""
    return f"Note   {old} is gone: {why}. It is an error in version {ENDS}."
