"""Which arithmetic suits this machine."""

from typing import Any, Literal

import torch


def fastest_precision(accelerator: str) -> Literal["bf16-mixed", "32-true"]:
    """bfloat16 autocast where the device computes in bfloat16 natively, else single precision.

    Processors that only emulate bfloat16 are slower with it; x86 has it with AVX512-BF16 or AMX.

    Args:
        accelerator: Lightning's name for the kind of device: `auto`, `cpu`, `gpu`, `cuda` or another.
    """
    if accelerator in ("auto", "gpu"):
        device = torch.accelerator.current_accelerator(check_available=True)
        accelerator = device.type if device is not None else "cpu"
    if accelerator == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator == "cpu":
        able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.9 cannot tell
        native = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    else:
        native = False
    return "bf16-mixed" if native else "32-true"
