from __future__ import annotations

import numpy as np
import pytest

from fer_lightning.audit.confident_learning import confident_learning


def test_confident_learning_finds_planted_label_errors():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 2000)
    given = true.copy()
    wrong = rng.choice(2000, 200, replace=False)
    given[wrong] = (true[wrong] + rng.integers(1, 4, 200)) % 4
    probabilities = np.full((2000, 4), 0.08)
    probabilities[np.arange(2000), true] = 0.76
    probabilities = probabilities + rng.dirichlet(np.ones(4), 2000) * 0.1
    found = confident_learning(given, probabilities / probabilities.sum(1, keepdims=True))
    issues = set(found.rows.tolist())
    assert len(issues & set(wrong.tolist())) > 190
    assert len(issues - set(wrong.tolist())) < 10
    assert 1 - found.joint.trace() == pytest.approx(0.1, abs=0.01)
    assert (found.suggested[wrong] == true[wrong]).mean() > 0.95
    assert (np.diff(found.issue_score[found.rows]) <= 0).all()
