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
    assert {tuple(change.values()) for change in found["differences"].values()} == {(0, 0, 0)}
    assert found["mcnemar_p"] == 1


def test_one_person_gives_a_difference_without_an_interval(predictions):
    alone = replace(predictions, identities=["ann"] * 60)
    better = replace(alone, probabilities=np.eye(3)[alone.labels])
    change = compared(alone, better)["differences"]["accuracy"]
    assert change["value"] == pytest.approx(1 - predictions.measures.right.mean())
    assert np.isnan([change["low"], change["high"]]).all()
