from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fer_lightning.evaluation.compare import compared, mcnemar


def test_mcnemar_by_hand():
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 0) == pytest.approx(2 / 2**5)
    assert mcnemar(1, 4) == pytest.approx(2 * (1 + 5) / 2**5)


def test_a_network_does_not_differ_from_itself(predictions):
    found = compared(predictions, predictions)
    ece = found["differences"].pop("ece")
    assert ece["value"] == 0
    assert ece["low"] < 0 < ece["high"]
    assert {tuple(change.values()) for change in found["differences"].values()} == {(0, 0, 0)}
    assert found["mcnemar_p"] == 1


def test_one_person_gives_a_difference_without_an_interval(predictions):
    alone = replace(predictions, identities=["ann"] * 60)
    better = replace(alone, probabilities=np.eye(3)[alone.labels])
    change = compared(alone, better)["differences"]["accuracy"]
    assert change["value"] == pytest.approx(1 - predictions.measures.right.mean())
    assert np.isnan([change["low"], change["high"]]).all()


def test_the_difference_of_calibration_errors_holds_the_truth(predictions, monkeypatch):
    """Right with probability 0.7; one network says 0.75, the other 0.9: their errors are 0.05 and 0.2."""
    monkeypatch.setattr("fer_lightning.evaluation.compare.DRAWS", 100)  # quicker
    rng = np.random.default_rng(0)
    held, people = 0, [str(number) for number in range(200)]
    for _ in range(40):
        both = []
        for said in (0.75, 0.9):
            right = rng.random((200, 1)) < 0.7
            answers = np.where(right, [said, 1 - said, 0], [1 - said, said, 0])
            both.append(replace(predictions, labels=np.zeros(200, int), probabilities=answers, identities=people))
        change = compared(*both)["differences"]["ece"]
        assert change["low"] < change["value"] < change["high"]
        held += change["low"] <= 0.15 <= change["high"]
    assert held >= 35  # 38 are due
