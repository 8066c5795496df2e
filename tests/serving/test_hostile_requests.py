"""What people and programs send that mean harm, or do not know better: one JSON message each, and it goes on."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import socket
import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.conftest import BEARER, Served, encoded, photograph

PHOTO = photograph()
JSON = {"Content-Type": "application/json"}


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def text_bomb() -> bytes:
    """A PNG with a comment that unfolds to a gigabyte."""
    packed = zlib.compressobj()
    comment = b"c\0\0" + b"".join(packed.compress(bytes(2**20)) for _ in range(1024)) + packed.flush()
    whole = encoded(Image.new("RGB", (8, 8)), "PNG")
    place = whole.index(b"IDAT") - 4
    chunk = struct.pack(">I", len(comment)) + b"zTXt" + comment + struct.pack(">I", zlib.crc32(b"zTXt" + comment))
    return whole[:place] + chunk + whole[place:]


def form(*parts: str, end: str = "--x--\r\n") -> dict[str, Any]:
    body = "".join(f"--x\r\n{part}\r\n" for part in parts) + end
    return {"content": body.encode(), "headers": {"Content-Type": "multipart/form-data; boundary=x"}}


def a_file(content: Any) -> dict[str, Any]:
    return {"files": {"i": content}}


def raw(content: bytes, kind: str) -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": kind}}


def as_json(*images: Any) -> dict[str, Any]:
    return {"json": {"images": images}}


DISPOSITION = 'Content-Disposition: form-data; name="i"'
BIG = base64.b64encode(bytes(1_400_000)).decode()

HOSTILE: dict[str, tuple[dict[str, Any], int, str]] = {
    "decompression bomb": (a_file(bomb(30_000, 30_000)), 413, "too_many_pixels"),
    "a larger one": (a_file(bomb(2**31 - 1, 2**31 - 1)), 413, "too_many_pixels"),
    "more pixels than the limit": (a_file(encoded(Image.new("1", (2100, 2000)), "PNG")), 413, "too_many_pixels"),
    "a comment that unfolds": (a_file(text_bomb()), 422, "unreadable"),
    "a program called an image": (a_file(("a.jpg", b"\x7fELF" + bytes(100), "image/jpeg")), 422, "unreadable"),
    "PostScript": (a_file(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), 422, "unreadable"),
    "SVG with a script": (raw(b"<svg><script>1</script></svg>", "image/svg+xml"), 422, "unreadable"),
    "half a photograph": (a_file(PHOTO[: len(PHOTO) // 2]), 422, "unreadable"),
    "no bytes at all": (raw(b"", "image/jpeg"), 422, "empty_image"),
    "an empty file in a form": (a_file(("a.jpg", b"")), 422, "empty_image"),
    "no content type": ({"content": PHOTO}, 415, "unsupported_type"),
    "another content type": (raw(PHOTO, "text/html; <script>"), 415, "unsupported_type"),
    "a form that ends too soon": (form(f'{DISPOSITION}; filename="a"\r\n\r\nabc', end=""), 422, "damaged_form"),
    "a form without a boundary": (raw(b"--x", "multipart/form-data"), 422, "damaged_form"),
    "a boundary without an end": (raw(b"--x", f"multipart/form-data; boundary={'x' * 9000}"), 422, "damaged_form"),
    "a form of noise": ({**form(), "content": np.random.default_rng(0).bytes(10_000)}, 422, "damaged_form"),
    "a form without a part": (form(), 422, "no_images"),
    "a text in place of a file": (form(f"{DISPOSITION}\r\n\r\nphoto.jpg"), 422, "no_file"),
    "a part without a head": (form("\r\nabc"), 422, "no_file"),
    "a thousand heads": (form("\r\n".join(f"X-{n}: 1" for n in range(1000)) + "\r\n\r\nabc"), 422, "damaged_form"),
    "too many files": ({"files": [("i", PHOTO)] * 5}, 413, "too_many_images"),
    "100,000 parts": (form(*["\r\n"] * 100_000), 422, "no_file"),
    "too many images in JSON": (as_json(*["AA=="] * 5), 413, "too_many_images"),
    "JSON nested a million times": ({"content": b"[" * 1_000_000, "headers": JSON}, 422, "damaged_json"),
    "JSON with objects nested": ({"content": b'{"images":' * 100_000, "headers": JSON}, 422, "damaged_json"),
    "a number with a million digits": ({"content": b"9" * 1_000_000, "headers": JSON}, 422, "damaged_json"),
    "no JSON": ({"content": b"\xff\xfe{", "headers": JSON}, 422, "damaged_json"),
    "no images in JSON": (as_json(), 422, "no_images"),
    "another thing in JSON": ({"json": {"images": {"0": "AA=="}}}, 422, "wrong_json"),
    "more than images in JSON": ({"json": {"images": ["AA=="], "path": "/etc/passwd"}}, 422, "wrong_json"),
    "a path for an image": (as_json("/etc/passwd"), 422, "damaged_base64"),
    "an address for an image": (as_json("http://127.0.0.1/a.jpg"), 422, "damaged_base64"),
    "a data URL of text": (as_json("data:text/plain,hello"), 422, "damaged_base64"),
    "base64 that is none": (as_json("data:image/png;base64,%%%%"), 422, "damaged_base64"),
    "letters that are no base64": (as_json("é" * 1000), 422, "damaged_base64"),
    "a number for an image": (as_json(1), 422, "damaged_base64"),
    "more bytes than the limit": (raw(bytes(2_000_001), "image/png"), 413, "too_large"),
    "more in base64 than the limit": (as_json(BIG, BIG), 413, "too_large"),
}  # fmt: skip


def well(served: Served) -> None:
    """It lives, and answers rightly."""
    done = served.ask(files={"i": PHOTO}, headers=BEARER)
    assert done.status_code == 200, done.text
    assert done.json()["images"][0]["faces"][0]["label"] == "happiness"


def one_message(done: httpx.Response, status: int, code: str) -> str:
    assert done.status_code == status, done.text
    assert done.headers["content-type"] == "application/json"
    error = done.json()["error"]
    assert error["code"] == code
    assert set(error) == {"code", "message"}
    assert 10 < len(error["message"]) < 400
    assert "Traceback" not in done.text
    return error["message"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_body(guarded: Served, name: str):
    given, status, code = HOSTILE[name]
    done = guarded.ask(**given | {"headers": given.get("headers", {}) | BEARER})
    one_message(done, status, code)
    well(guarded)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/predict?min_confidence=nan", 422, "wrong_option"),
        ("POST", "/v1/predict?min_confidence=1e999", 422, "wrong_option"),
        ("POST", "/v1/predict?min_confidence=<script>alert(1)</script>", 422, "wrong_option"),
        ("POST", "/v1/predict?whole=perhaps", 422, "wrong_option"),
        ("POST", f"/v1/predict?min_confidence={'9' * 20_000}", 422, "wrong_option"),
        ("GET", "/v1/predict", 405, "wrong_method"),
        ("DELETE", "/v1/model", 405, "wrong_method"),
        ("BREW", "/", 405, "wrong_method"),
        ("POST", "/v1/../../etc/passwd", 404, "no_such_path"),
        ("GET", "/page/../serve.py", 404, "no_such_path"),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404, "no_such_path"),
        ("GET", "/%00", 404, "no_such_path"),
        ("GET", "/<script>alert(1)</script>", 404, "no_such_path"),
    ],
)
def test_hostile_address(guarded: Served, method: str, path: str, status: int, code: str):
    done = guarded.ask(method, path, headers=BEARER, content=PHOTO if method == "POST" else None)
    one_message(done, status, code)
    assert "<script>" not in done.text
    well(guarded)


@pytest.mark.parametrize(
    "name", ["../../escaped.jpg", "<img src=x onerror=alert(1)>.jpg", "a\x00b", "C:\\x.jpg", "é" * 5000]
)
def test_names_of_files_are_not_used(guarded: Served, name: str):
    done = guarded.ask(files={"i": (name, PHOTO)}, headers=BEARER)
    assert done.status_code in (200, 422)  # heads may have a few thousand bytes
    assert name[:10] not in done.text
    assert list(guarded.folder.iterdir()) == []
    well(guarded)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "127.0.0.1.evil.example"]
)
def test_another_name_for_this_machine(server: Served, host: str):
    done = server.ask("GET", "/v1/model", headers={"Host": host})
    assert "Expected 127.0.0.1, [::1], localhost" in one_message(done, 421, "wrong_host")


def test_pages_of_other_sites(server: Served):
    done = server.ask(files={"i": PHOTO}, headers={"Origin": "https://evil.example"})
    one_message(done, 403, "other_origin")
    assert "access-control-allow-origin" not in done.headers
    done = server.ask("OPTIONS", headers={"Origin": "null", "Access-Control-Request-Method": "POST"})
    one_message(done, 403, "other_origin")
    assert server.ask(files={"i": PHOTO}, headers={"Origin": server.url}).status_code == 200


def by_hand(served: Served, *parts: bytes, wait: float = 0.0) -> bytes:
    """What comes back for bytes that no library would send."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(wait)
        return everything(connection)


def everything(connection: socket.socket) -> bytes:
    found = io.BytesIO()
    while part := connection.recv(65536):
        found.write(part)
    return found.getvalue()


def said(answer: bytes) -> tuple[int, str]:
    """The status and the code of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


HEAD = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {BEARER['Authorization']}\r\n".encode()


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"], (400, "no_http")),
        ([b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: " + b"x" * 200_000], (400, "no_http")),
        ([HEAD + b"Content-Length: -5\r\n\r\n"], (400, "no_http")),
        ([HEAD + b"Content-Length: 99999999999999999999\r\n\r\n"], (413, "too_large")),
        ([HEAD + b"Content-Length: 9999999999999999\r\nContent-Type: image/png\r\n\r\nabc"], (413, "too_large")),
        ([HEAD + b"Transfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\nzz\r\n"], (400, "no_http")),
        pytest.param([HEAD[:40]], (408, "too_slow"), marks=pytest.mark.slow),
        ([HEAD + b"Content-Length: 100000\r\nContent-Type: image/png\r\n\r\nabc"], (408, "too_slow")),
    ],
    ids=["tls", "endless head", "negative", "overflow", "huge length", "no chunk", "half a head", "half a body"],
)
def test_hostile_bytes(guarded: Served, parts: list[bytes], expected: tuple[int, str]):
    assert said(by_hand(guarded, *parts)) == expected
    well(guarded)


def test_an_endless_body_is_cut_off_while_it_comes(guarded: Served):
    start = HEAD + b"Transfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\n"
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    sent, started = 0, time.monotonic()
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=20) as connection:
        connection.sendall(start)
        connection.settimeout(0.01)
        answer = b""
        while not answer and time.monotonic() < started + 10:
            connection.settimeout(20)
            connection.sendall(chunk)
            sent += len(chunk)
            connection.settimeout(0.0001)
            with contextlib.suppress(TimeoutError, BlockingIOError):
                answer = connection.recv(65536)
        connection.settimeout(20)
        answer += everything(connection)  # sends no more
    assert said(answer) == (413, "too_large")
    assert sent < 50_000_000
    well(guarded)


@pytest.mark.slow
def test_a_body_that_comes_slowly_holds_nobody_up(guarded: Served):
    with ThreadPoolExecutor(2) as pool:
        start = HEAD + b"Content-Length: 100\r\nContent-Type: image/png\r\n\r\n"
        slow = pool.submit(by_hand, guarded, start, *[b"x"] * 8, wait=0.6)
        time.sleep(0.3)
        well(guarded)
        assert not slow.done()
        assert said(slow.result()) == (408, "too_slow")
    well(guarded)


def test_a_full_queue_says_when_to_come_again(guarded: Served):
    content = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (1000, 1300), np.uint8)), quality=5)
    ask: Callable[[int], httpx.Response] = lambda _: guarded.ask(files=[("i", content)] * 4, headers=BEARER)  # noqa: E731
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(32)))
    refused = [done for done in found if done.status_code != 200]
    assert 0 < len(refused) < 32
    for done in refused:
        assert "At most 6 images may wait" in one_message(done, 429, "too_busy")
        assert done.headers["retry-after"] == "1"
    well(guarded)


@pytest.mark.slow
def test_more_connections_than_there_may_be(guarded: Served):
    connections: list[socket.socket] = []
    try:
        place = ("127.0.0.1", guarded.port)
        connections += [socket.create_connection(place, timeout=20) for _ in range(512)]
        assert said(by_hand(guarded, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")) == (
            503,
            "too_many_connections",
        )
        assert said(everything(connections[0])) == (408, "too_slow")
    finally:
        for connection in connections:
            connection.close()
    time.sleep(0.5)
    well(guarded)
