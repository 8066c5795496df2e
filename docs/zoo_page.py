"""The page about the weights that come with the package, from what they say of themselves."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from made_pages import MADE, table
from safetensors import safe_open

from fer_lightning.checkpoints.finding import NAMED, PRETRAINED
from fer_lightning.checkpoints.reading import load_model, read_checkpoint

WEIGHTS = PRETRAINED.parent
OTHERS = (
    (
        *("The face detector", "YuNet, `fer_lightning.networks.yunet`", "yunet.safetensors"),
        *("WIDER FACE, by the authors of libfacedetection", "3-clause BSD (`yunet.LICENSE`)"),
    ),
    (
        *("The landmarks of aligned faces", "`fer_lightning.networks.face_landmarks`", "face_landmarks.safetensors"),
        *(
            "the training subset of FER+ (FER2013's images, collected from the web for research, without a license of "
            "their own), by landmarks that MediaPipe's face mesh finds there (`experiments/face_landmarks.py`)",
            "Apache License 2.0, as what taught it (`face_landmarks.LICENSE`)",
        ),
    ),
)
"""Networks beside those that name expressions: title, network, file, what it was trained on, license."""

MEASURED = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "nll": "negative log-likelihood",
    "ece": "expected calibration error",
}
"""Words for measures whose names are short."""


def with_interval(figure: Mapping[str, float]) -> str:
    """A measure with its 95 % interval."""
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def made_by(card: str, name: str) -> str:
    """The commands that a section of the weights' README says."""
    _, _, section = card.partition(f"# {name}\n")
    found = re.search(r"^```\w*\n(.*?)^```", section.partition("\n# ")[0], flags=re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def zoo_entry(path: Path, card: str) -> tuple[list[str], str]:
    """The row and the section of one file of weights, from what it says of itself."""
    info, _ = read_checkpoint(path)
    model = load_model(path)
    spec, data, measured = info.input_spec, info.training, info.measured
    parameters = f"{sum(value.numel() for value in model.network.parameters()):,}"
    network = type(model.network).__name__
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    names = ", ".join(data.names) if data else "not stated"
    figures = {name: with_interval(figure) for name, figure in measured.get("metrics", {}).items()}
    row = [f"[`{path.stem}`](#{path.stem.lower()})", network, parameters, size, names]
    row += [figures.get(name, "not measured") for name in ("accuracy", "balanced_accuracy", "macro_f1")]
    facts = {
        "network": f"`{info.network['class_path'] if info.network else network}`, {parameters} parameters",
        "file": f"`{path.name}`, {size}, half precision",
        "input": f"{spec.image_size} x {spec.image_size} pixels, {spec.color}; faces: {spec.framing}",
        "classes": ", ".join(info.class_names),
        "trained on": f"{names}: {sum(data.class_counts):,} images" if data else "not stated",
        "license of the data": (data and data.license) or "not stated",
        "measured on": f"{measured['images']:,} test images of {', '.join(measured['data'])}" if figures else "nothing",
        **{said: figures[name] for name, said in MEASURED.items() if name in figures},
        "temperature": f"{info.temperature:.3f}",
        "mirror images": "averaged, at twice the cost of the network" if info.tta_flip else "not averaged",
        "written by": f"fer_lightning {info.version}",
    }
    section = f"## {path.stem}\n\n{table(list(facts.items()), ('', ''))}"
    section += "In brackets: 95 % intervals from a bootstrap over people.\n\n" if figures else ""
    if commands := made_by(card, path.name):
        section += f"Made by:\n\n```text\n{commands}```\n\n"
    return row, section


def size_of(name: str) -> str:
    """What a file of weights holds, in words."""
    with safe_open(WEIGHTS / name, "pt") as file:
        numbers = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    return f"`{name}`, {numbers:,} numbers, {(WEIGHTS / name).stat().st_size / 1e6:.1f} MB"


def zoo_page() -> str:
    """The page about the weights that come with the package."""
    card = (WEIGHTS / "README.md").read_text(encoding="utf-8")
    entries = [zoo_entry(path, card) for path in NAMED.values()]
    text = f"# Model zoo\n\n{MADE}"
    text += (
        "The weights that come with the package. `--ckpt_path pretrained` names the small ones, which are used "
        "where nothing else is said, `--ckpt_path pretrained-large` the large ones, in `predict`, `serve`, "
        "`test` and `export`, as does `ExpressionRecognizer` in Python. `fit --ckpt_path pretrained` starts a new run "
        "from them, also with other classes. What they are not for, and how they fare elsewhere, is in their card, "
        "`fer_lightning/weights/README.md`: an expression is not an emotion felt. Results of other recipes: "
        "[Experiments](experiments.md#recipes).\n\n"
    )
    head = ("name", "network", "parameters", "size", "data", "accuracy", "balanced accuracy", "macro-F1")
    text += table([row for row, _ in entries], head) + "".join(section for _, section in entries)
    for title, network, file, data, license in OTHERS:
        facts = [("network", network), ("file", size_of(file)), ("trained on", data), ("license", license)]
        text += f"## {title}\n\n" + table(facts, ("", ""))
    return text.rstrip() + "\n"
