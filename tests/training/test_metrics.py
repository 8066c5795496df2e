from __future__ import annotations

import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from fer_lightning.training.metrics import BalancedAccuracy, expression_metrics


def test_by_hand():
    metrics = expression_metrics(3, "val_")
    metrics.update(torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 1]))
    values = {name: round(value.item(), 6) for name, value in metrics.compute().items()}
    # Recall: 2/3 and 1/2 (class 2 has no sample). F1: 4/5, 1/2 and 0 (class 2 was only predicted).
    assert values == {
        "val_acc": 0.6,
        "val_balanced_acc": round((2 / 3 + 1 / 2) / 2, 6),
        "val_macro_f1": round(1.3 / 3, 6),
    }


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("seed", range(5))
def test_as_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 6, (40,), generator=generator)
    predicted = torch.where(
        torch.rand(40, generator=generator) < 0.6, labels, torch.randint(0, 8, (40,), generator=generator)
    )
    metrics = expression_metrics(8, "")
    for start in range(0, 40, 7):
        metrics.update(predicted[start : start + 7], labels[start : start + 7])
    values = {name: value.item() for name, value in metrics.compute().items()}
    assert values["acc"] == pytest.approx(accuracy_score(labels, predicted))
    assert values["balanced_acc"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert values["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))


def test_padding_does_not_count():
    padded, plain = expression_metrics(4, ""), expression_metrics(4, "")
    padded.update(torch.tensor([0, 1, 2, 3, 3]), torch.tensor([0, 1, 1, -1, -1]))
    plain.update(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1]))
    assert padded.compute() == plain.compute()
    assert BalancedAccuracy(num_classes=4).compute() == 0
