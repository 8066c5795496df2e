"""`predict` that is stopped before its end keeps its rows, and the same command goes on."""

from __future__ import annotations

import csv
import errno
import os
import signal
import subprocess
import time

import pyarrow.parquet
import pytest

from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.inference.frames import Look, look
from fer_lightning.inference.predict import _work
from fer_lightning.inference.recognizer import ExpressionRecognizer
from fer_lightning.inference.rows import RowWriter
from fer_lightning.inference.sources import list_sources
from tests.conftest import flat, linked, run_here
from tests.inference.test_predict import PREDICT, rows


@pytest.fixture(scope="module")
def many(drawn, tmp_path_factory):
    """A folder with 1,536 images."""
    return linked(drawn, tmp_path_factory.mktemp("many"), 8)


def test_a_full_disk_is_one_message_and_the_rows_go_on_afterwards(drawn, tmp_path, capsys, monkeypatch):
    """The writer's own stream refuses, as that of a full disk does; the file system itself is real in another test."""
    write, written = RowWriter.write, []

    def full(self, found):
        if len(written) == 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(found)
        write(self, found)

    words = ["predict", "--ckpt_path", "pretrained", "--input", drawn / "images", "--faces", "whole", "--workers", "0"]
    words += ["--output", "predictions.csv"]
    monkeypatch.setattr(RowWriter, "write", full)
    with pytest.raises(SystemExit, match="2"):
        run_here(*words, cwd=tmp_path)
    assert "The disk is full. Free some space: the same command goes on" in capsys.readouterr().err
    monkeypatch.undo()
    run_here(*words, cwd=tmp_path)
    assert "19 of 192 are in predictions.csv already" in flat(capsys.readouterr().out)
    assert len({row["source"] for row in rows(tmp_path / "predictions.csv")}) == 192


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_keeps_the_rows_and_the_same_command_goes_on(many, tmp_path, capsys, number):
    """As a terminal and a scheduler send it; SIGTERM ends the workers that decode images, too."""
    command = [*PREDICT, "--input", str(many), "--output", "rows.csv", "--faces", "whole", "--workers", "2"]
    command += ["--batch_size", "8"]
    run_here(*command[2:-2], cwd=tmp_path)
    whole = (tmp_path / "rows.csv").read_bytes()
    (tmp_path / "rows.csv").unlink()
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (tmp_path / "rows.csv").is_file() and (tmp_path / "rows.csv").stat().st_size > 10_000:
            break
        time.sleep(0.01)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert "Interrupted. The same command goes on" in flat(said)
    assert "Traceback" not in said
    kept = rows(tmp_path / "rows.csv")
    assert 20 < len(kept) < 1536
    run_here(*command[2:], cwd=tmp_path)
    assert " of 1,536 are in rows.csv already" in flat(capsys.readouterr().out)
    with open(tmp_path / "rows.csv", newline="") as stream:
        again = list(csv.DictReader(stream))
    first = list(csv.DictReader(whole.decode().splitlines()))
    assert [row["source"] for row in again] == [row["source"] for row in first]
    assert [row["label"] for row in again] == [row["label"] for row in first]


def test_ctrl_c_keeps_the_rows_so_far_as_parquet_too(drawn, pretrained, tmp_path):
    class CtrlC:
        seen = 0

        def add(self, frame, expressions):
            self.seen += 1
            if self.seen == 20:
                raise KeyboardInterrupt

    recognizer = ExpressionRecognizer(pretrained, faces="whole")
    sources = list_sources([drawn / "images"])
    frames = recognizer.answer(look(sources, Look(recognizer.input_spec), 0))
    with RowWriter(str(tmp_path / "rows.parquet"), EXPRESSIONS, {}) as writer:
        assert _work(recognizer, frames, writer, [CtrlC()]) is not None
    found = pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [row["source"] for row in found] == [source.name for source in sources[:20]]


def test_a_list_comes_in_and_a_closed_pipe_ends_quietly(many, tmp_path):
    paths = "\n".join(str(path) for path in sorted(many.iterdir()))
    command = [*PREDICT, "--input", "-", "--output", "-", "--faces", "whole", "--batch_size", "8"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdin.write(paths)
    process.stdin.close()
    header = process.stdout.readline()
    assert header.startswith("source,frame,seconds,face,")
    assert process.stdout.readline().startswith(str(many))
    process.stdout.close()
    said = process.stderr.read()
    process.wait(timeout=60)
    assert "Traceback" not in said, said
    assert list(tmp_path.iterdir()) == []
