"""`predict --engine ray` on a cluster of two machines, one of which is lost: real processes of Ray on this one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.dataset
import pyarrow.parquet
import pytest

from tests.conftest import PROJECT, flat, linked, run_here

pytestmark = pytest.mark.slow
pytest.importorskip("ray")

HERE = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


class Machines:
    """A cluster of `ray start` nodes, each a session of processes of its own that can be killed at once."""

    def __init__(self, storage: str) -> None:
        self.environment = os.environ | HERE | KEYS | {"PYTHONPATH": str(PROJECT), "AWS_ENDPOINT_URL": storage}
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.start("--head", f"--port={port}", "--include-dashboard=false", "--node-ip-address=127.0.0.1")
        self.address = f"127.0.0.1:{port}"
        self.start(f"--address={self.address}", "--node-ip-address=127.0.0.1")  # which waits for the first one
        self.wait(2)

    def start(self, *words: str) -> None:
        options = ["--block", "--num-cpus=1", "--object-store-memory=100000000", "--disable-usage-stats", *words]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options]
        self.nodes.append(
            subprocess.Popen(
                command,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def wait(self, count: int) -> None:
        code = f"import ray; ray.init({self.address!r}); assert len([n for n in ray.nodes() if n['Alive']]) == {count}"
        for _ in range(30):
            if not subprocess.run([sys.executable, "-c", code], env=self.environment, capture_output=True).returncode:
                return
            time.sleep(0.5)
        raise TimeoutError("the cluster did not start")

    def predict(self, place: Path, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROJECT / "train.py"), "predict", *words, "--engine", "ray"]
        environment = self.environment | {"RAY_ADDRESS": self.address}
        return subprocess.Popen(
            command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def kill(self, number: int) -> None:
        os.killpg(self.nodes[number].pid, signal.SIGKILL)
        self.nodes[number].wait()

    def close(self) -> None:
        for number in reversed(range(len(self.nodes))):
            if self.nodes[number].poll() is None:
                self.kill(number)


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    """The address of an S3 server on this machine."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def machines(storage: str) -> Iterator[Machines]:
    cluster = Machines(storage)
    try:
        yield cluster
    finally:
        cluster.close()


def rows(folder: Path) -> list[dict[str, object]]:
    return pyarrow.dataset.dataset(folder, format="parquet").to_table().to_pylist()


def same(found: Sequence[dict[str, object]], expected: Sequence[dict[str, object]]) -> bool:
    """Whether rows are equal, numbers to their last digit: a batch of another size may round otherwise."""
    pairs = zip(found, expected, strict=False)
    return len(found) == len(expected) and all(one == pytest.approx(other, abs=1.01e-6) for one, other in pairs)


def test_a_machine_that_is_lost_loses_and_repeats_no_row(machines, drawn, video, tmp_path):
    linked(drawn, tmp_path / "in", 4)
    (tmp_path / "in" / "2_broken.jpg").write_text("no image")
    (tmp_path / "in" / "film.mp4").symlink_to(video)
    words = ["--input", "in", "--faces", "detect", "--smooth", "0.3", "--output"]
    going = machines.predict(tmp_path, *words, "rows")
    while not list((tmp_path / "rows").glob("part-*")) and going.poll() is None:
        time.sleep(0.05)
    machines.kill(1)
    made = len(list((tmp_path / "rows").glob("part-*")))
    said, _ = going.communicate(timeout=120)
    assert going.returncode == 0, said
    assert made < 14
    assert "Engine   ray: 2 machines, 2 cores; 14 parts to make" in said
    assert "1 unreadable. Written to" in flat(said)
    assert json.loads((tmp_path / "rows" / "_SUCCESS").read_text()) == {"parts": 14, "images": 770}
    run_here("predict", *words, "whole.parquet", "--workers", "0", "--device", "cpu", cwd=tmp_path)
    expected = pyarrow.parquet.read_table(tmp_path / "whole.parquet").to_pylist()
    assert same(rows(tmp_path / "rows"), expected)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "rows").iterdir()}
    again = machines.predict(tmp_path, *words, "rows")
    assert "14 of 14 parts are in" in again.communicate(timeout=60)[0]
    assert again.returncode == 0
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "rows").iterdir()}
    assert {name: time for name, time in after.items() if name != "_SUCCESS"} == {
        name: time for name, time in before.items() if name != "_SUCCESS"
    }


def test_parts_go_to_a_bucket_and_a_second_time_to_none(machines, storage, drawn, tmp_path):
    s3 = pytest.importorskip("s3fs").S3FileSystem(
        key="key", secret="secret", endpoint_url=storage, skip_instance_cache=True
    )
    s3.mkdir("parts")
    (tmp_path / "in").symlink_to(drawn / "images")
    words = ["--input", "in/*", "--faces", "whole", "--output", "s3://parts/a/rows"]
    going = machines.predict(tmp_path, *words)
    said, _ = going.communicate(timeout=120)
    assert going.returncode == 0, said
    names = [f"part-0000{number}-of-00003.parquet" for number in (1, 2, 3)]
    assert sorted(path.rpartition("/")[2] for path in s3.ls("parts/a/rows")) == ["_SUCCESS", "_settings.json", *names]
    run_here("predict", *words[:-1], "whole.parquet", "--workers", "0", "--device", "cpu", cwd=tmp_path)
    expected = pyarrow.parquet.read_table(tmp_path / "whole.parquet").to_pylist()
    parts = [pyarrow.parquet.read_table(f"parts/a/rows/{name}", filesystem=s3).to_pylist() for name in names]
    assert [row for part in parts for row in part] == expected  # whole images are the same batches: bit by bit
    other = machines.predict(tmp_path, *words, "--class_prior", "uniform")
    nobody = machines.predict(tmp_path, *words[:-1], "s3://nobody/rows")
    assert "made with other settings or input (class_prior" in flat(other.communicate(timeout=60)[0])
    assert other.returncode == 2
    assert "Cannot use 's3://nobody/rows' (--output)" in flat(nobody.communicate(timeout=60)[0])
    assert nobody.returncode == 2


def test_what_a_process_cannot_write_is_one_message(machines, drawn, tmp_path):
    (tmp_path / "in").symlink_to(drawn / "images")
    for number in (1, 2, 3):
        (tmp_path / "rows" / f"part-0000{number}-of-00003.parquet").mkdir(parents=True)
    going = machines.predict(tmp_path, "--input", "in/*", "--faces", "whole", "--output", "rows")
    said = flat(going.communicate(timeout=120)[0])
    assert going.returncode == 2
    assert f"Cannot use '{tmp_path / 'rows'}' (--output): Is a directory. Put that right, or choose another." in said
    assert not (tmp_path / "rows" / "_SUCCESS").exists()


def test_images_of_a_bucket_and_one_that_is_gone(machines, storage, drawn, tmp_path, monkeypatch):
    s3 = pytest.importorskip("s3fs").S3FileSystem(
        key="key", secret="secret", endpoint_url=storage, skip_instance_cache=True
    )
    s3.mkdir("photos")
    for path in sorted((drawn / "images").iterdir())[:70]:
        s3.put_file(str(path), f"photos/a/{path.name}")
    s3.pipe_file("photos/a/zz.jpg", b"no image")
    words = ["--input", "s3://photos/a/*", "--faces", "whole", "--output"]
    going = machines.predict(tmp_path, *words, "rows")
    said, _ = going.communicate(timeout=120)
    assert going.returncode == 0, said
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": storage}).items():
        monkeypatch.setenv(name, value)
    run_here("predict", *words, "whole.parquet", "--workers", "0", "--device", "cpu", cwd=tmp_path)
    found = rows(tmp_path / "rows")
    assert found == pyarrow.parquet.read_table(tmp_path / "whole.parquet").to_pylist()
    assert (len(found), found[-1]["source"], found[-1]["label"]) == (71, "s3://photos/a/zz.jpg", "error")


def test_nobody_at_the_address_of_the_cluster(machines, drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(machines, "address", "127.0.0.1:1")
    going = machines.predict(tmp_path, str(drawn / "images"), "--output", "rows")
    assert "No cluster of Ray is at RAY_ADDRESS=127.0.0.1:1: " in flat(going.communicate(timeout=90)[0])
    assert going.returncode == 2


def test_a_head_that_is_lost_ends_it_with_a_message_and_the_parts_stay(machines, drawn, tmp_path):
    """The last test of this cluster."""
    linked(drawn, tmp_path / "in", 8)
    going = machines.predict(tmp_path, "in", "--faces", "detect", "--output", "rows")
    while not list((tmp_path / "rows").glob("part-*")) and going.poll() is None:
        time.sleep(0.05)
    machines.kill(0)
    said = flat(going.communicate(timeout=50)[0])  # Ray itself ends it after 60 seconds
    assert going.returncode == 2
    assert f"error: The head of the cluster at {machines.address} does not answer any more. The parts so far" in said
    assert pyarrow.parquet.read_table(min((tmp_path / "rows").glob("part-*"))).num_rows
    assert not (tmp_path / "rows" / "_SUCCESS").exists()
