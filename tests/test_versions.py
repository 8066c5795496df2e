"""The version, wherever it stands."""

from __future__ import annotations

import re

import yaml

from fer_lightning import __version__
from fer_lightning.checkpoints.info import FORMAT
from tests.conftest import PROJECT


def test_citation():
    """What the format (citation-file-format 1.2.0) requires, with the version of the package and nobody invented."""
    said = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(said)
    assert all(isinstance(said[name], str) for name in ("cff-version", "message", "title", "version", "license"))
    assert (said["cff-version"], said["type"], said["title"]) == ("1.2.0", "software", "fer_lightning")
    assert said["version"] == __version__
    assert said["license"] == "Apache-2.0"
    assert said["authors"] == [{"name": "The fer_lightning authors"}]


def test_changelog():
    """The form of Keep a Changelog: what is not released first, then versions by day, each with its kinds of change."""
    text = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *versions = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert first == "[Unreleased]"
    days = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", version) for version in versions]
    assert all(days)
    assert days[0][1] == __version__
    assert [day[2] for day in days] == sorted((day[2] for day in days), reverse=True)
    kinds = re.findall(r"^### (.*)$", text, flags=re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_security_speaks_of_this_version_and_this_format():
    text = (PROJECT / "SECURITY.md").read_text(encoding="utf-8")
    minor = ".".join(__version__.split(".")[:2])
    assert f"| {minor}.x |" in text
    assert f"up to {FORMAT}" in text
