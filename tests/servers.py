"""Real servers on this machine, S3 and plain http, and what can go wrong between them and us."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import struct
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

BUCKET = "bucket"


class Faults:
    """What goes wrong with requests for paths that end so: the first so many of them.

    `reset` ends the connection at once, `cut` in the middle of an answer, `silent` says nothing, `busy` answers 503.
    """

    def __init__(self) -> None:
        self.planned: dict[str, tuple[str, int]] = {}
        self.asked: Counter[str] = Counter()

    def of(self, path: str) -> str:
        """The fault of the next request for a path; empty if it is answered."""
        self.asked[path] += 1
        for ending, (fault, times) in self.planned.items():
            if path.endswith(ending) and self.asked[path] <= times:
                return fault
        return ""


@contextmanager
def between(host: str, port: int) -> Iterator[tuple[str, Faults]]:
    """A server that hands on what it is asked to another, but for faults: its address, and these."""
    faults = Faults()

    class Handing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def hand_on(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            path = self.path.partition("?")[0]
            fault = faults.of(path) if self.command == "GET" else ""
            if fault == "silent":
                time.sleep(5)
            if fault in ("silent", "reset"):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            if fault == "busy":
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            onward = http.client.HTTPConnection(host, port, timeout=20)
            onward.request(self.command, self.path, body, dict(self.headers))
            answer = onward.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            size = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", size or "0")
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
            if fault == "cut":
                self.close_connection = True

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = hand_on  # noqa: N815 (their names)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handing) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}", faults
        served.shutdown()


@contextmanager
def s3_server() -> Iterator[Faults]:
    """An S3 server with a bucket, for this process and those that it starts; GETs go through faults."""
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import boto3
    import s3fs

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()  # all in a process have one memory
    known = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "very-secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with between(host, port) as (address, faults), pytest.MonkeyPatch.context() as patch:
        for name, value in (known | {"AWS_ENDPOINT_URL": address}).items():
            patch.setenv(name, value)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        s3fs.S3FileSystem.clear_instance_cache()
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield faults
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def upload(folder: Path, prefix: str) -> None:
    """Put a folder into the bucket."""
    import boto3

    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    for path in folder.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(folder).as_posix()}")


@contextmanager
def web_server(folder: Path) -> Iterator[tuple[str, Faults]]:
    """A folder on the web, behind faults."""
    from functools import partial
    from http.server import SimpleHTTPRequestHandler

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        with between("127.0.0.1", served.server_port) as found:
            yield found
        served.shutdown()
