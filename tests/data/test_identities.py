"""Who is in an image, by its name: any regular expression, and never for ever."""

from __future__ import annotations

import time

import pytest

from fer_lightning.data import identities
from fer_lightning.data.identities import identities_of
from fer_lightning.errors import FERError

NAMES = ["b/George_W_Bush_0012.jpg", "ann_1.png", "odd.png", "\udcff_1.png"]


def test_the_usual_pattern_and_ones_own():
    assert identities_of(NAMES) == ["George_W_Bush", "ann", "odd.png", "\udcff"]
    assert identities_of(NAMES, r"^(?:.*/)?(.+)_\d+\.[^.]+$|never") == identities_of(NAMES)
    assert identities_of(NAMES, "[a-z]+") == ["b", "ann", "odd", "\udcff_1.png"]
    assert identities_of(NAMES, "(x)?") == NAMES
    assert identities_of(NAMES, "^") == NAMES


@pytest.mark.parametrize(
    "pattern", ["(", "(?P<a>x)(?P<a>y)", "(" * 20_000 + ")" * 20_000, "a{99999999999999999999}", "\\"]
)
def test_what_is_no_regular_expression(pattern):
    with pytest.raises(FERError, match=r"--data\.identity. Expected a regular expression") as refused:
        identities_of(NAMES, pattern)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("pattern", ["(a+)+$", "(.*a){20}$"])
def test_a_pattern_that_takes_years_is_stopped(pattern, monkeypatch):
    monkeypatch.setattr(identities, "_SECONDS", 1)
    began = time.monotonic()
    with pytest.raises(FERError, match=r"which takes more than 1 seconds"):
        identities_of(["a" * 60 + "b.png"], pattern)
    assert time.monotonic() - began < 20
