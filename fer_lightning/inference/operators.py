"""The operations that an exported graph may have: those of torchvision's and timm's networks, on tensors alone."""

import math
import operator
from pathlib import Path

OPERATORS = frozenset(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split())
"""Of torch.ops.aten: none reads or writes a file, runs for ever, or gives what happens to be in memory."""

CHECKS = frozenset({"_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range", "sym_constrain_range_for_size"})
"""What only makes sure of what is known: left out."""

_NAMES = ("add", "sub", "mul", "floordiv", "mod", "truediv", "neg", "eq", "ne", "lt", "le", "gt", "ge", "and_", "or_")
OF_NUMBERS = {
    **{f"_operator.{name}": getattr(operator, name) for name in _NAMES},
    "math.ceil": math.ceil,
    "math.floor": math.floor,
    "torch.sym_max": max,
    "torch.sym_min": min,
    "torch.sym_float": float,
    "torch.sym_int": int,
    "torch.sym_not": operator.not_,
}
"""What is done with sizes."""
