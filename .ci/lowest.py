"""Prints the lowest versions (the last patch of them) of everything that pyproject.toml asks for with `>=`, for pip."""

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("video", "onnx", "parquet", "heif", "timm", "serve", "hub", "stream", "s3", "test")

wanted = [*PROJECT["dependencies"], *(name for extra in EXTRAS for name in PROJECT["optional-dependencies"][extra])]
pins = {re.split(r"[;\s]", name)[0].replace(">=", "==") for name in wanted if ">=" in name}
print("\n".join(sorted(pin if pin.count(".") > 1 else f"{pin}.*" for pin in pins)))
