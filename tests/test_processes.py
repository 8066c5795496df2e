"""Processes that work ahead end with the one they work for, and are not started where that cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import PROJECT, linked


@pytest.fixture(scope="module")
def images(drawn, tmp_path_factory):
    """A folder with 3,072 images, by links."""
    return linked(drawn, tmp_path_factory.mktemp("images"), 16)


def children(process):
    """The processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == process:
            found.append(int(stat.parent.name))
    return found


def is_there(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="looks for processes as Linux tells them")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nobody_is_left_behind(number, images, tmp_path):
    command = [sys.executable, str(PROJECT / "train.py"), "predict", "--ckpt_path", "pretrained"]
    command += ["--input", str(images), "--faces", "detect", "--workers", "2", "--output", "rows.csv"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline, rows = time.monotonic() + 60, tmp_path / "rows.csv"
    while time.monotonic() < deadline and not (rows.is_file() and rows.stat().st_size > 3_000):
        time.sleep(0.05)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(number)
    process.wait(30)
    process.stdout.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(is_there, workers)):
        time.sleep(0.1)
    assert not any(map(is_there, workers))


MANY = """
import multiprocessing
from fer_lightning import ExpressionRecognizer
recognizer = ExpressionRecognizer("pretrained", faces="whole", batch_size=4, workers=2, device="cpu")
def ask(_):
    return [answer.faces[0].label for answer in recognizer.predict({paths!r})]
"""


@pytest.mark.parametrize("where", ["pool", "no guard under spawn"])
def test_long_lists_work_in_a_pool_and_without_a_guard(where, tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(40)]
    for number, path in enumerate(paths):
        Image.new("L", (30, 30), 6 * number).save(path)
    code = MANY.format(paths=paths)
    if where == "pool":
        code += "if __name__ == '__main__':\n    with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        code += "        print(len(pool.map(ask, [0])[0]))\n"
    else:
        code = code.replace(
            "import multiprocessing, sys", "import multiprocessing\nmultiprocessing.set_start_method('spawn')"
        )
        code += "print(len(ask(0)))\n"
    (tmp_path / "program.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("40\n", "")
