"""Images from the web: fetched from a real server, and nothing else than what was named."""

from __future__ import annotations

import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fer_lightning import storage
from fer_lightning.data.image_files import UnreadableImageError
from fer_lightning.errors import FERError
from fer_lightning.inference import addresses
from fer_lightning.inference.addresses import fetch, is_public
from fer_lightning.inference.sources import list_sources
from fer_lightning.storage import without_secret
from tests.conftest import flat, run_here
from tests.servers import web_server


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(storage, "PAUSES", (0.01, 0.02))
    monkeypatch.setattr(addresses, "_SILENT", 0.4)


@pytest.fixture(scope="module")
def server(photograph):
    stream = io.BytesIO()
    photograph.save(stream, "png")
    asked = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/"))
                self.end_headers()
                return
            if self.path == "/gone":
                self.send_error(404)
                return
            self.send_response(200)
            kinds = {"/page": "text/html; charset=utf-8", "/photo.png?x=1": "application/octet-stream"}
            self.send_header("Content-Type", kinds.get(self.path, "image/png"))
            if self.path == "/cut":
                self.send_header("Content-Length", "1000000")
            self.end_headers()
            try:
                if self.path == "/endless":
                    while True:
                        self.wfile.write(bytes(1 << 20))
                elif self.path == "/slow":
                    for _ in range(100):
                        self.wfile.write(b"x")
                        self.wfile.flush()
                        time.sleep(0.05)
                elif self.path in ("/text", "/cut"):
                    self.wfile.write(b"no image")
                else:
                    self.wfile.write(stream.getvalue())
            except OSError:  # the other side has enough
                pass

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as served:
        served.daemon_threads = True
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}", asked
        served.shutdown()


def test_an_image_on_the_web_is_answered_drawn_and_written(server, tmp_path, capsys):
    base, asked = server
    asked.clear()
    words = ["predict", f"{base}/photo.png", f"{base}/photo.png?x=1", f"{base}/to/{base}/photo.png"]
    run_here(*words, "--annotate", "drawn", cwd=tmp_path)
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("http")] == [f"{word}   1 face" for word in words[1:]]
    assert said.count("  happiness 100%") == 3
    assert len(list((tmp_path / "drawn").glob("*.jpg"))) == 3
    assert len(asked) == 4  # each once, and the one that leads to another
    run_here(*words, "--output", "rows.csv", cwd=tmp_path)
    assert f"\n{base}/photo.png,,,0,1" in (tmp_path / "rows.csv").read_text().replace("\r", "")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/page", "it is a page (text/html), not an image"),
        ("/gone", "the server answers 404 (Not Found)"),
        ("/text", "it is not an image that can be decoded"),
        ("/cut", "the connection ended before the image did"),
        ("/to/file:///etc/passwd", "the server leads to an address that is not of the web"),
        ("/to/ftp://127.0.0.1/x.png", "the server leads to an address that is not of the web"),
        ("/to/data:image/png;base64,AAAA", "the server leads to an address that is not of the web"),
        ("/to/gopher://x/y", "the server leads to an address that is not of the web"),
    ],
)
def test_what_cannot_be_had_is_a_reason(server, path, reason, tmp_path, capsys):
    run_here("predict", server[0] + path, "--workers", "0", cwd=tmp_path)
    assert f"cannot be read: {reason}" in flat(capsys.readouterr().out)


@pytest.mark.parametrize("fault", ["reset", "cut", "silent", "busy"])
def test_an_image_is_asked_for_again(fault, photograph, tmp_path):
    photograph.save(tmp_path / "a.png")
    with web_server(tmp_path) as (address, faults):
        faults.planned = {"a.png": (fault, 1)}
        assert fetch(f"{address}/a.png") == (tmp_path / "a.png").read_bytes()
        assert faults.asked["/a.png"] == 2
        faults.planned, faults.asked["/a.png"] = {"a.png": ("reset", 99)}, 0
        with pytest.raises(UnreadableImageError, match=rf"'{address}/a.png'.*, in 3 tries"):
            fetch(f"{address}/a.png")
        assert faults.asked["/a.png"] == 3


def test_bounds_hold(server, monkeypatch):
    monkeypatch.setattr(addresses, "MOST_BYTES", 3_000_000)
    with pytest.raises(UnreadableImageError, match="it has more than 3 MB"):
        fetch(server[0] + "/endless")
    monkeypatch.setattr(addresses, "LONGEST", 0.5)
    start = time.monotonic()
    with pytest.raises(UnreadableImageError, match="it took more than"):
        fetch(server[0] + "/slow")
    assert time.monotonic() - start < 2
    for odd in (
        "http://",
        "http://a b/",
        "http://127.0.0.1:1/x",
        "http://[::",
        "http://127.0.0.1:99999/",
        "http://\0/",
    ):
        with pytest.raises(UnreadableImageError):
            fetch(odd)


def test_a_server_does_not_lead_from_the_internet_into_this_network(server, monkeypatch):
    """The internet is not there in tests: the address of the first server is taken for one of it."""
    assert not any(
        is_public(host) for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "no.such.host", None)
    )
    assert is_public("1.1.1.1")
    monkeypatch.setattr(addresses, "is_public", lambda host: host == "localhost")
    base = server[0]
    with pytest.raises(UnreadableImageError, match="leads to an address in this network"):
        fetch(f"{base.replace('127.0.0.1', 'localhost')}/to/{base}/photo.png")


def test_only_what_is_named_is_fetched(server, monkeypatch):
    base, asked = server
    asked.clear()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"a.jpg\n{base}/photo.png\nrtsp://me:secret@host/x\n"))
    plain, listed, stream = list_sources(["-"])
    assert (plain.name, plain.error) == ("a.jpg", "")
    assert "only if they are named on the command line" in listed.error
    assert (stream.name, stream.address) == ("rtsp://host/x", "")
    assert asked == []


def test_a_password_is_used_and_not_told(capsys, tmp_path):
    (source,) = list_sources(["rtsp://me:secret@127.0.0.1:9/live"])
    assert (source.kind, source.name) == ("camera", "rtsp://127.0.0.1:9/live")
    assert "secret" not in repr(source)
    with pytest.raises(SystemExit, match="2"):
        run_here("predict", "rtsp://me:secret@127.0.0.1:9/live", cwd=tmp_path)
    said = capsys.readouterr().err
    assert "Cannot open the camera 'rtsp://127.0.0.1:9/live': nobody answers there" in said
    assert "secret" not in said
    assert without_secret("http://me:x@host/a?b#c") == "http://host/a?b#c"
    assert without_secret("me@home.jpg") == "me@home.jpg"
    with pytest.raises(FERError, match="without a user name"):
        list_sources(["https://me:secret@host/a.jpg"])
    with pytest.raises(FERError, match=r"'https://host/a.mp4\?x=1' is a film's"):
        list_sources(["https://host/a.mp4?x=1"])


def test_an_address_without_a_secret_is_shown_as_it_is():
    assert without_secret("https://example.org/@ann/a.jpg?") == "https://example.org/@ann/a.jpg?"
    assert without_secret("rtsp://ann:secret@camera/@live?") == "rtsp://camera/@live?"
