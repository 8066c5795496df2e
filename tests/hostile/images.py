"""Images, films and folders of them: damaged, in odd formats, under odd names, or not files at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.cases import DATA, FIT, PREDICT, Case

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{ } loop\n"


def png(width: int, height: int, data: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG with a header of that size, whatever it holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(data or bytes(min(height, 10) * (3 * min(width, 10) + 1))))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + body + chunk(b"IEND", b"")


def text_chunk() -> bytes:
    """A compressed text that grows to 500 MB."""
    content = b"Comment\0\0" + zlib.compress(bytes(500_000_000), 9)
    return struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))


def made(kind: str) -> bytes:
    """An image of an odd kind, in a good file."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (40, 40, 3), np.uint8)
    buffer = io.BytesIO()
    if kind == "integer gray":
        Image.fromarray(rng.integers(0, 255, (40, 40)).astype(np.int32)).save(buffer, "TIFF")
    elif kind == "float gray":
        Image.fromarray(np.full((40, 40), np.nan, np.float32)).save(buffer, "TIFF")
    elif kind == "lab":
        Image.fromarray(noise).convert("HSV").convert("RGB").convert("YCbCr").save(buffer, "TIFF")
    elif kind == "cmyk":
        Image.fromarray(noise).convert("CMYK").save(buffer, "JPEG")
    elif kind == "animated":
        several = [Image.fromarray(np.roll(noise, n, 0)) for n in range(5)]
        several[0].save(buffer, "GIF", save_all=True, append_images=several[1:])
    elif kind == "one bit":
        Image.fromarray(noise).convert("1").save(buffer, "PNG")
    elif kind == "one pixel":
        Image.fromarray(noise[:1, :1]).save(buffer, "PNG")
    elif kind == "line":
        Image.new("RGB", (20_000, 1)).save(buffer, "PNG")
    elif kind == "large":
        Image.new("RGB", (9_000, 9_000)).save(buffer, "PNG")
    elif kind == "avif":
        Image.fromarray(noise).save(buffer, "AVIF")
        return buffer.getvalue()[:-80]
    elif kind == "cut jpeg":
        Image.fromarray(noise).save(buffer, "JPEG")
        return buffer.getvalue()[:300]
    elif kind == "bad exif":
        Image.fromarray(noise).save(buffer, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\xff")
    return buffer.getvalue()


KINDS = (
    "integer gray",
    "float gray",
    "lab",
    "cmyk",
    "animated",
    "one bit",
    "one pixel",
    "line",
    "large",
    "avif",
    "cut jpeg",
    "bad exif",
)


def content_of(kind: str) -> bytes:
    """The bytes of a file that is no image, or one in `KINDS`."""
    plain = {
        "empty": b"",
        "text": b"hello",
        "eps": EPS,
        "pdf": b"%PDF-1.4\n",
        "bomb": png(60_000, 60_000),
        "zero wide": png(0, 5),
        "negative": png(2**31 + 5, 5),
        "text bomb": png(10, 10, extra=text_chunk()),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "fli": b"\0" * 4 + b"\x12\xaf" + b"\0" * 200,
        "tiff loop": b"II*\0\x08\0\0\0\x01\0" + b"\0\x01\x03\0\x01\0\0\0\x05\0\0\0" + b"\x08\0\0\0",
        "ico": b"\0\0\1\0\1\0\x10\x10\0\0\1\0 \0\xff\xff\xff\x7f\x16\0\0\0",
        "webp": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\xff" * 50,
    }
    return plain[kind] if kind in plain else made(kind)


ODD = (
    "empty",
    "text",
    "eps",
    "pdf",
    "bomb",
    "zero wide",
    "negative",
    "text bomb",
    "svg",
    "fli",
    "tiff loop",
    "ico",
    "webp",
    "jp2",
)
NAMES = (
    "a\nb.jpg",
    "a\x1b[2Jb.jpg",
    "-rf.jpg",
    "$x^$.jpg",
    "=1+1.jpg",
    "a;b.jpg",
    "ü" * 100 + ".jpg",
    "x" * 250 + ".jpg",
    "a'b\"c.jpg",
    "%s%n.jpg",
)


def photo(name: str | bytes, kind: str = "") -> Callable[[Path], None]:
    """A photograph of that name in the folder of photographs; a good one unless a kind is said."""

    def prepare(box: Path) -> None:
        good = (box / "given" / "photos" / "a.png").read_bytes()
        folder = os.fsencode(box / "given" / "photos")
        path = os.path.join(folder, name if isinstance(name, bytes) else os.fsencode(name))
        with open(path, "wb") as stream:
            stream.write(content_of(kind) if kind else good)

    return prepare


def in_data(kind: str) -> Callable[[Path], None]:
    """One image of the data set is of that kind."""

    def prepare(box: Path) -> None:
        first = min((box / "given" / "data" / "images").iterdir())
        first.write_bytes(content_of(kind))

    return prepare


def special(kind: str, place: str) -> Callable[[Path], None]:
    """Something that is no file, where a file is expected."""

    def prepare(box: Path) -> None:
        path = box / "given" / place
        if path.is_file():
            path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            import socket

            here = Path.cwd()
            os.chdir(path.parent)
            socket.socket(socket.AF_UNIX).bind(path.name)
            os.chdir(here)
        elif kind == "circle":
            path.symlink_to(path.name)
        elif kind == "up":
            path.symlink_to("..")
        elif kind == "zero":
            path.symlink_to("/dev/zero")
        elif kind == "folder":
            path.mkdir()
        elif kind == "gone":
            path.symlink_to("nowhere")

    return prepare


SPECIAL = ("pipe", "socket", "circle", "up", "zero", "folder", "gone")


def film(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A damaged film."""
    return lambda box: (box / "given" / "bad.mp4").write_bytes(change((box / "given" / "film.mp4").read_bytes()))


def cases() -> Iterator[tuple[str, Case]]:
    """Names and cases."""
    photos = f"{PREDICT} --input ../given/photos"
    for kind in (*ODD, *KINDS):
        yield f"photograph {kind}", Case(photos, photo("b.jpg", kind), refused=False)
        yield (
            f"photograph {kind} annotated",
            Case(f"{photos} --annotate drawn --explain why", photo("b.jpg", kind), refused=False),
        )
        yield (
            f"photograph {kind} searched",
            Case(
                "predict --ckpt_path pretrained --faces detect --input ../given/photos",
                photo("b.png", kind),
                refused=False,
            ),
        )
        yield f"image {kind} in a data set", Case(FIT, in_data(kind))
        yield f"image {kind} audited", Case(f"audit {DATA.split(' --data.image')[0]}", in_data(kind), refused=False)
    for number, name in enumerate((*NAMES, b"\xff\xfe.jpg", b"a\xffb.jpg")):
        yield (
            f"photograph's name {number}",
            Case(f"{photos} --annotate drawn --explain why", photo(name), refused=False),
        )
        yield f"photograph's name in JSON {number}", Case(f"{photos} --output r.jsonl", photo(name), refused=False)
        yield f"photograph's name on the screen {number}", Case(f"{photos} --output -", photo(name), refused=False)
    for kind in SPECIAL:
        yield (
            f"{kind} among photographs",
            Case(f"{photos} --annotate drawn", special(kind, "photos/z.jpg"), refused=False),
        )
        yield f"{kind} named as input", Case(f"{PREDICT} --input ../given/z.jpg", special(kind, "z.jpg"))
        yield f"{kind} as film", Case(f"{PREDICT} --input ../given/z.mp4", special(kind, "z.mp4"))
        yield f"{kind} as image of a data set", Case(FIT, special(kind, "data/images/person_000_00.png"), refused=True)
        yield f"{kind} as legend", Case(FIT, special(kind, "data/legend.csv"), refused=True)
        yield (
            f"{kind} in a list",
            Case(
                [*PREDICT.split(), "--input", "-"],
                special(kind, "z.jpg"),
                stdin="../given/z.jpg\n../given/photos/a.png\n",
            ),
        )
    lists = {
        "empty": "",
        "blank": "\n\n \n",
        "binary": "\0\1\2\n",
        "long": "x" * 1_000_000 + "\n",
        "devices": "/dev/zero\n/dev/random\n/dev/stdin\n/proc/self/mem\n/etc/shadow\n",
        "missing": "nowhere.jpg\n" * 100,
        "folder": "../given/photos\n",
        "surrogate": "\u00ff.jpg\n",
    }
    for kind, text in lists.items():
        yield f"list {kind}", Case(f"{PREDICT} --input -", stdin=text)
    inputs = (
        "",
        " ",
        ".",
        "..",
        "/",
        "~",
        "~nobody",
        "²",
        "-1",
        "9999999999",
        "1e3",
        "*",
        "[",
        "**/*",
        "\u0663",
        "../given/photos/*.png",
        "http://x",
        "a" * 5000,
    )
    for number, given in enumerate(inputs):
        if given != "/":  # all that there is on this machine
            yield f"input {number}", Case([*PREDICT.split(), "--input", given])
    changes: dict[str, Callable[[bytes], bytes]] = {
        "cut": lambda data: data[: len(data) // 2],
        "head": lambda data: data[:100],
        "zeros": lambda data: bytes(len(data)),
        "hole": lambda data: data[:200] + bytes(2000) + data[2200:],
        "empty": lambda data: b"",
        "text": lambda data: b"hello",
        "twice": lambda data: data + data,
    }
    for kind, change in changes.items():
        yield f"film {kind}", Case(f"{PREDICT} --input ../given/bad.mp4 --timeline t.png", film(change), refused=False)
        yield (
            f"film {kind} annotated",
            Case(f"{PREDICT} --input ../given/bad.mp4 --annotate out.mp4", film(change)),
        )
