"""Options are taken off a line wherever they stand; the nearest name is found."""

from __future__ import annotations

import pytest

from fer_lightning.cli.commands import UsageError, nearest, take


def test_what_is_not_taken_stays_as_it_is_and_in_order():
    words = ["-1", "--a.b", "-2", "--config=x", "--c=d e", "", "--conf", "y", "-c", "z", "-", "--config", "w"]
    given, others = take(words, "--config|-c", "--none")
    assert given == {"config": ["x", "z", "w"]}
    assert others == ["-1", "--a.b", "-2", "--c=d e", "", "--conf", "y", "-"]


def test_a_value_that_is_missing():
    with pytest.raises(UsageError, match=r"--name: expected one argument\.$"):
        take(["--name", "--other", "x"], "--name")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("data.rot", " Did you mean --data.root?"),
        ("max_epochs", " Did you mean --trainer.max_epochs?"),
        ("max_epcohs", " Did you mean --trainer.max_epochs?"),
        ("xyz", ""),
    ],
)
def test_nearest(word, expected):
    assert nearest(word, {"data.root", "trainer.max_epochs", "name"}, "--") == expected
