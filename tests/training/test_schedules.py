from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR

from fer_lightning.errors import FERError
from fer_lightning.training.schedules import WarmupCosine, interval_of
from tests.conftest import TINY, run_here

OPTIMIZER = partial(torch.optim.SGD, lr=2.0)


def rates_of(schedule: WarmupCosine, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    return rates


def test_the_cosine_rises_and_falls():
    schedule = WarmupCosine(OPTIMIZER([nn.Parameter(torch.zeros(1))]), warmup=0.1)
    schedule.set_length(110)
    rates = rates_of(schedule, 111)
    assert rates[0] == pytest.approx(2 / 11)
    assert rates[10] == rates[11] == pytest.approx(2.0)
    assert rates[11 + 99 // 2 + 0] == pytest.approx(1.0, abs=0.04)
    assert rates[110] == pytest.approx(0.0, abs=1e-6)


def test_a_resumed_schedule_goes_on_and_may_have_become_longer():
    whole, first = (WarmupCosine(OPTIMIZER([nn.Parameter(torch.zeros(1))])) for _ in range(2))
    whole.set_length(20)
    expected = rates_of(whole, 20)
    first.set_length(20)
    assert rates_of(first, 8) == expected[:8]
    for length in (20, 40):
        optimizer = OPTIMIZER([nn.Parameter(torch.zeros(1))])
        resumed = WarmupCosine(optimizer)
        resumed.set_length(length)
        optimizer.load_state_dict(first.optimizer.state_dict())
        resumed.load_state_dict(first.state_dict())
        found = rates_of(resumed, 12)
        assert (found == expected[8:]) == (length == 20)
        assert (found[-1] < 0.1) == (length == 20)


def test_a_scheduler_knows_when_it_advances():
    optimizer = OPTIMIZER([nn.Parameter(torch.zeros(1))])
    assert interval_of(WarmupCosine(optimizer)) == "step"
    assert interval_of(OneCycleLR(optimizer, 1.0, 10)) == "step"
    assert interval_of(ExponentialLR(optimizer, 0.9)) == "epoch"
    with pytest.raises(FERError, match=r"--model.lr_scheduler.warmup. Expected 0 to 1. Received: 7"):
        WarmupCosine(optimizer, warmup=7)


def test_the_cosine_needs_a_length(drawn, tmp_path, capsys):
    words = ["--data.root", drawn, *TINY, "--model.lr_scheduler", "WarmupCosine", "--trainer.max_epochs", "-1"]
    with pytest.raises(SystemExit):
        run_here("fit", *words, cwd=tmp_path)
    assert "--trainer.max_epochs" in capsys.readouterr().err
