from __future__ import annotations

import pytest
import torch

from fer_lightning.training.precision import fastest_precision


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx512_f": True}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_bfloat16_is_chosen_where_the_processor_computes_in_it(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert fastest_precision("cpu") == expected


def test_a_gpu_that_only_emulates_it_stays_in_single_precision(monkeypatch):
    for native, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, native=native: native)
        assert fastest_precision("cuda") == expected
    assert fastest_precision("mps") == "32-true"


def test_auto_asks_the_device_that_is_there(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert fastest_precision("auto") == fastest_precision("cpu")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("mps"))
    assert fastest_precision("auto") == fastest_precision("gpu") == "32-true"
