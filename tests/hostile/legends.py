"""Legends, lists, names of classes, caches and trees."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.cases import DATA, FIT, PREDICT, Case
from tests.hostile.files import _Runs

HEAD = "user.id,image,emotion\n"
BAD_NAMES = (
    "../../../out",
    "..",
    ".",
    "",
    " ",
    "a/b",
    "a\\b",
    "/etc",
    "a\nb",
    "a\x1b[2J",
    "x" * 300,
    "con/../x",
    "a\0b",
)
ODD_NAMES = (
    "\u202eb",
    "$x^$",
    "=1+1",
    "<script>alert(1)</script>",
    "a|b",
    "a,b",
    'a"b',
    "image",
    "label",
    "predicted",
    "identity",
    "source",
    "face",
    "confidence",
    "error",
    "frame",
    "%s",
    "{x}",
    "seen",
    "user.id",
    "-a",
    "@a",
    "größe",
    "`a`",
    "seconds",
    "left",
    "split",
    "emotion",
)


def legend(text: str | bytes) -> Callable[[Path], object]:
    """The data set's legend is this."""
    return lambda box: (box / "given" / "data" / "legend.csv").write_bytes(
        text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    )


def renamed(old: str, new: str) -> Callable[[Path], None]:
    """A class has another name in the legend."""

    def prepare(box: Path) -> None:
        import csv

        path = box / "given" / "data" / "legend.csv"
        with open(path, newline="") as stream:
            rows = list(csv.reader(stream))
        with open(path, "w", newline="", errors="surrogateescape") as stream:
            csv.writer(stream).writerows([[new if cell == old else cell for cell in row] for row in rows])

    return prepare


def listed(text: str) -> Callable[[Path], object]:
    """A list of images."""
    return lambda box: (box / "given" / "list.csv").write_text(text, errors="surrogateescape")


def prepared(change: Callable[[Path], object], ending: str) -> Callable[[Path], None]:
    """Damage what an earlier fit has prepared in the working folder."""

    def prepare(box: Path) -> None:
        for path in sorted((box / "work" / "prepared_data").glob(f"*{ending}")):
            change(path)

    return prepare


def overwrite(content: bytes) -> Callable[[Path], object]:
    """Replace a file."""
    return lambda path: path.write_bytes(content)


def flip_pixels(path: Path) -> None:
    """As a bad disk does."""
    data = bytearray(path.read_bytes())
    data[1000:3000] = bytes(255 - value for value in data[1000:3000])
    path.write_bytes(data)


def moved_image(box: Path) -> None:
    """A testing image is moved into training, by hand."""
    tree = next(path for path in (box / "work" / "prepared_data").iterdir() if path.is_dir())
    image = next(path for path in sorted((tree / "testing").rglob("*.png")))
    image.rename(tree / "training" / image.parent.name / image.name)


def cases() -> Iterator[tuple[str, Case]]:
    """Names and cases."""
    for number, name in enumerate(BAD_NAMES):
        yield (
            f"class name {number} in a list",
            Case([*FIT.split(), "--data.classes", repr([name, "anger"]).replace("'", '"')], refused=True),
        )
        if name.strip() and "\0" not in name:
            yield f"class name {number} in a legend", Case(FIT, renamed("anger", name), refused=True)
    for number, name in enumerate(ODD_NAMES):
        yield f"odd class {number}", Case(FIT, renamed("anger", name))
        yield f"odd class {number} audited", Case(f"audit {DATA.split(' --data.image')[0]}", renamed("anger", name))
        yield f"odd class {number} tested", Case(f"fit {DATA} --trainer.max_epochs 1 --name t", renamed("anger", name))
    row = "u,person_000_00.png,anger\n"
    votes = "anger,contempt,disgust,fear,happiness,neutral,sadness,surprise"
    texts: dict[str, str | bytes] = {
        "empty": "",
        "header": HEAD,
        "no header": row,
        "blank lines": HEAD + "\n\n" + row,
        "NUL": HEAD + "u,a\0b.png,anger\n",
        "UTF-16": (HEAD + row).encode("utf-16"),
        "latin": HEAD.encode() + b"u,\xe4.png,anger\n",
        "binary": os.urandom(1000),
        "one line": HEAD + "x" * 20_000_000,
        "wide": ",".join(f"c{n}" for n in range(100_000)) + "\n",
        "wide row": HEAD + "," * 100_000 + "\n",
        "quote": HEAD + 'u,"person_000_00.png,anger\n' * 1000,
        "semicolons": (HEAD + row).replace(",", ";"),
        "twice": "user.id,image,image,emotion\n",
        "up": HEAD + "u,../../outside/precious.txt,anger\n",
        "absolute": HEAD + "u,/etc/passwd,anger\n",
        "windows": HEAD + "u,C:\\x.png,anger\n",
        "devices": HEAD + "u,/dev/zero,anger\nu,../../../../../dev/zero,fear\n",
        "endings": HEAD + "".join(f"u,person_{n:05d}.jpg,anger\n" for n in range(26_643)),
        "case": HEAD + "u,PERSON_000_00.PNG,anger\n",
        "many classes": HEAD + "".join(f"u,person_000_00.png,c{n}\n" for n in range(3000)),
        "one class": HEAD + row,
        "two rows": HEAD + row + "u,person_001_00.png,fear\n",
        "every label": HEAD + "".join(f"u,person_000_00.png,{name}\n" for name in votes.split(",")),
        "huge votes": f"user.id,image,emotion,{votes}\n" + "u,person_000_00.png,anger,1e39,0,0,0,0,0,0,0\n" * 3,
        "NaN votes": f"user.id,image,emotion,{votes}\n" + "u,person_000_00.png,anger,nan,0,0,0,0,0,0,0\n" * 3,
        "split": "user.id,image,emotion,split\nu,person_000_00.png,anger,other\n",
        "formula": HEAD + "=cmd|' /C calc'!A0,person_000_00.png,anger\n",
    }
    for kind, text in texts.items():
        yield f"legend {kind}", Case(FIT, legend(text), refused=True)
        yield f"legend {kind} audited", Case(f"audit {DATA.split(' --data.image')[0]}", legend(text))
    lists = {
        "empty": "",
        "text": "hello",
        "NUL": "image\n\0\n",
        "wide": "image," * 50_000 + "\n",
        "none": "image\nnowhere.png\n",
        "up": "image\n../../x\n",
        "label": "image,suggested\nperson_000_00.png,../x\n",
    }
    for kind, text in lists.items():
        for option in ("exclude", "relabel"):
            yield (
                f"{option} {kind}",
                Case(
                    f"{FIT} --data.{option} ../given/list.csv", listed(text), refused=None if kind == "label" else True
                ),
            )
    for option in ("exclude", "relabel", "legend", "images", "root", "prepared_dir"):
        for device in ("/dev/zero", "/dev/null", "/dev/stdin", "/proc/self/mem"):
            yield f"{option} {device}", Case(f"{FIT} --data.{option} {device}", refused=True)
    for number, pattern in enumerate(
        ("(a+)+$", "(.*)*x", "(", "(?P<a>.)(?P<b>.)", "((a|aa)+)+$", "x{1000000}", "\\", "(?i)" * 2000)
    ):
        yield f"identity {number}", Case([*FIT.split(), "--data.identity", pattern])
    damages = {
        "empty": b"",
        "text": b"hello",
        "pickle": pickle.dumps(_Runs()),
        "numpy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (192, 2), }"
        + b" " * 40
        + b"\n"
        + pickle.dumps(_Runs()),
    }
    own = "work/prepared_data"
    for ending in (".npy", ".stamps"):
        for kind, content in damages.items():
            yield (
                f"{ending} {kind}",
                Case(f"{FIT.replace('--name new', '--name other')}", prepared(overwrite(content), ending)),
            )
        yield f"{ending} cut", Case(FIT, prepared(lambda path: os.truncate(path, path.stat().st_size // 2), ending))
        yield f"{ending} gone", Case(FIT, prepared(lambda path: path.unlink(), ending))
        yield f"{ending} pipe", Case(FIT, prepared(lambda path: (path.unlink(), os.mkfifo(path)), ending))
        yield f"{ending} folder", Case(FIT, prepared(lambda path: (path.unlink(), path.mkdir()), ending))
    yield "pixels changed on the disk", Case(FIT, prepared(flip_pixels, ".npy"))
    yield "a testing image in training", Case(FIT, moved_image)
    pool = {
        "inside": "[../given/data, ../given/data/images]",
        "same": "[../given/data, ../given/data]",
        "missing": "[../given/data, nowhere]",
        "number": "[5]",
        "empty": "[]",
        "nested": "[[../given/data]]",
    }
    for kind, text in pool.items():
        yield (
            f"combined {kind}",
            Case(["fit", "--data.root", text, "--trainer.max_epochs", "1", "--data.image_size", "32", "--name", "p"]),
        )
    assert own
    assert PREDICT
