"""Outputs that would replace what is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.cases import DATA, FIT, PREDICT, Case

IMAGES, LEGEND = "../given/data/images", "../given/data/legend.csv"


def linked(name: str, target: str, hard: bool = False) -> Callable[[Path], None]:
    """Another name of a file."""

    def prepare(box: Path) -> None:
        path = box / "work" / name
        if hard:
            os.link((box / "work" / target).resolve(), path)
        else:
            path.symlink_to(target)

    return prepare


def theirs(*names: str) -> Callable[[Path], None]:
    """Files of somebody else, where outputs would go."""

    def prepare(box: Path) -> None:
        for name in names:
            path = box / "work" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("mine\n")

    return prepare


def cases() -> Iterator[tuple[str, Case]]:
    """Names and cases."""
    photos = f"{PREDICT} --input ../given/photos"
    film = f"{PREDICT} --input ../given/film.mp4"
    refused = {
        "photographs annotated in place": f"{photos} --annotate ../given/photos",
        "photographs annotated above": f"{photos} --annotate ../given",
        "photographs explained in place": f"{photos} --explain ../given/photos",
        "the data set's images annotated in place": f"{PREDICT} --input {IMAGES} --annotate {IMAGES}",
        "film annotated in place": f"{film} --annotate ../given/film.mp4",
        "rows over a photograph": f"{photos} --output ../given/photos/a.png",
        "rows over the checkpoint": f"{photos} --output ../given/good.ckpt",
        "rows over others' rows": f"{photos} --output ../given/data/legend.csv",
        "Parquet over others' file": f"{photos} --output ../outside/table.parquet",
        "timeline over others' picture": f"{film} --timeline ../given/photos/a.png",
        "annotated film over others' film": f"{film} --annotate ../outside/film.mp4",
        "export over the checkpoint": "export --ckpt_path ../given/good.safetensors --output ../given/good.safetensors",
        "export over others' file": "export --ckpt_path ../given/good.ckpt --output ../outside/net.onnx",
        "export's card over others' file": "export --ckpt_path ../given/good.ckpt --output ../outside/card.onnx",
        "audit into the data set": f"audit {DATA.split(' --data.image')[0]} --output ../given/data",
        "audit into others' folder": f"audit {DATA.split(' --data.image')[0]} --output ../outside",
        "compare over others' file": "compare base base2 --output ../outside/precious.txt",
        "ferplus into others' folder": f"ferplus --fer2013 {LEGEND} --votes {LEGEND} --output ../given/data",
        "prepared data in the data set": f"{FIT} --data.prepared_dir ../given/data/legend.csv",
    }
    for name, words in refused.items():
        yield name, Case(words, refused=True)
    for hard in (False, True):
        kind = "hard link" if hard else "link"
        yield (
            f"rows over a {kind} to a photograph",
            Case(f"{photos} --output r.csv", linked("r.csv", "../given/photos/a.png", hard), refused=True),
        )
        yield (
            f"film over a {kind} to itself",
            Case(f"{film} --annotate f.mp4", linked("f.mp4", "../given/film.mp4", hard), refused=True),
        )
        yield (
            f"timeline over a {kind} to a photograph",
            Case(f"{film} --timeline t.png", linked("t.png", "../given/photos/a.png", hard), refused=True),
        )
    yield (
        "annotated pictures through a link",
        Case(f"{photos} --annotate out", linked("out", "../given/photos"), refused=True),
    )
    yield (
        "annotated pictures beside others",
        Case(f"{photos} --annotate out", theirs("out/a.png.jpg", "out/a.jpg"), refused=True),
    )
    yield "explained faces beside others", Case(f"{photos} --explain out", theirs("out/mine.txt"), refused=True)
    yield "others' settings beside rows", Case(f"{photos} --output r.csv", theirs("r.csv.settings.json"))
    yield "others' rows", Case(f"{photos} --output r.csv", theirs("r.csv"), refused=True)
    yield "others' lines", Case(f"{photos} --output r.jsonl", theirs("r.jsonl"), refused=True)
    yield "others' Parquet", Case(f"{photos} --output r.parquet", theirs("r.parquet"), refused=True)
    yield (
        "others' model card",
        Case("export --ckpt_path ../given/good.ckpt --output x.safetensors", theirs("x.safetensors.md"), refused=True),
    )
    yield (
        "others' table",
        Case(f"audit {DATA.split(' --data.image')[0]} --output a", theirs("a/images.csv"), refused=True),
    )
    yield "a folder of others under the run's name", Case(FIT, theirs("runs/new/thesis.txt"), refused=True)
    yield "one place for two outputs", Case(f"{photos} --annotate out --explain out")
    yield "rows among annotated pictures", Case(f"{photos} --annotate out --output out/r.csv")
