"""A box of files for each case, and what is wrong with how it ended."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.hostile.cases import DATA, Case
from tests.hostile.running import run

OWN = ("work/prepared_data", "work/runs/base/model_card.md", "work/runs/cv/options.json")
"""What a command may change, as it is its own."""


def make_template(folder: Path) -> Path:
    """A data set, photographs, a film, a trained model in every format, runs, and what belongs to somebody else."""
    from fer_lightning.data.sources.synthetic import synthetic_faces

    box = folder / "template" / "box"
    for name in ("given/photos", "outside", "work"):
        (box / name).mkdir(parents=True)
    data = synthetic_faces(folder / "cache", people=12, images=2)
    shutil.copytree(data, box / "given" / "data")
    for number, image in enumerate(sorted((data / "images").iterdir())[:3]):
        shutil.copy(image, box / "given" / "photos" / f"{'abc'[number]}.png")
    (box / "outside" / "precious.txt").write_text("a thesis\n")
    for name in ("table.parquet", "film.mp4", "net.onnx", "card.onnx.md", "images.csv"):
        (box / "outside" / name).write_text("mine\n")
    _write_film(box)
    small = "--model.network.hidden 16 --trainer.max_epochs 1"
    for line in (
        f"fit {DATA} {small} --name base",
        "test --name base --ckpt_path best",
        *(
            f"export --name base --ckpt_path best --output ../given/good.{ending}"
            for ending in ("safetensors", "onnx", "pt2")
        ),
    ):
        ended = run(line.split(), box)
        assert ended.status == 0, ended.said
    shutil.copy(box / "work/runs/base/checkpoints/last.ckpt", box / "given" / "good.ckpt")
    shutil.copytree(box / "work/runs/base", box / "work/runs/base2")
    return box


def _write_film(box: Path) -> None:
    import cv2

    image = cv2.imread(str(box / "given" / "photos" / "a.png"))
    writer = cv2.VideoWriter(str(box / "given" / "film.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, image.shape[1::-1])
    for _ in range(20):
        writer.write(image)
    writer.release()


def ending(case: Case, template: Path, box: Path) -> list[str]:
    """What is wrong with how a case ended."""
    shutil.copytree(template, box, symlinks=True)
    if case.prepare:
        case.prepare(box)
    ended = run(case.line, box, case.stdin, may_change=OWN)
    complaints = ended.complaints
    if case.refused is not None and case.refused != (ended.status == 2):
        complaints.append(f"status {ended.status}, and it {'has' if case.refused else 'is not'} to be refused")
    if case.says and case.says not in ended.said:
        complaints.append(f"it does not say {case.says!r}")
    if os.path.exists(box.parent / "owned") or os.path.exists(box.parents[1] / "owned"):
        complaints.append("code of the file ran")
    return [*complaints, ended.said[-1500:]] if complaints else []
