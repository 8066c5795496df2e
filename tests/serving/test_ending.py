"""The end answers what has begun, within its time, and leaves nothing; a request has its time too."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from tests.serving.conftest import Served, encoded, photograph, serving

pytestmark = pytest.mark.slow

SLOW = [("i", encoded(Image.new("RGB", (7000, 7000)), "PNG"))] * 8
"""A request that takes some seconds."""


def wait_until_it_works(served: Served) -> None:
    """Wait until images wait for an answer."""
    for _ in range(500):
        if float(re.search(r"^fer_images_waiting (\S+)$", served.ask("GET", "/metrics").text, re.MULTILINE)[1]) > 0:
            return
        time.sleep(0.01)
    pytest.fail("no image waits")


def check_nothing_is_left(served: Served) -> None:
    assert not subprocess.run(["pgrep", "-P", str(served.process.pid)], capture_output=True, check=False).stdout
    assert list(served.folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_has_begun_is_answered(tmp_path, number: signal.Signals):
    with serving(tmp_path, "--workers", "1", "--stop_timeout", "60") as served, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.ask, files=SLOW)
        wait_until_it_works(served)
        served.process.send_signal(number)
        time.sleep(0.5)
        with pytest.raises(httpx.ConnectError):
            served.ask("GET", "/health")
        done = answer.result()
        assert (done.status_code, len(done.json()["images"])) == (200, 8)
        assert served.end(timeout=20) == 128 + number  # whose SIGTERM comes while it ends: the first signal counts
    assert served.said[2:] == [f"Stopped by {'Ctrl-C' if number == signal.SIGINT else number.name}."]
    check_nothing_is_left(served)


def test_what_takes_too_long_is_told_so(tmp_path):
    with serving(tmp_path, "--workers", "1", "--stop_timeout", "0.2") as served, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.ask, files=SLOW)
        wait_until_it_works(served)
        started = time.monotonic()
        assert served.end() == 143
        assert time.monotonic() < started + 10
        done = answer.result()
        assert (done.status_code, done.json()["error"]["code"]) == (503, "ending")
    assert served.said[2:] == ["Stopped by SIGTERM."]
    check_nothing_is_left(served)


def test_an_answer_that_is_not_there_in_time(tmp_path):
    with serving(tmp_path, "--workers", "1", "--timeout", "0.5") as served:
        done = served.ask(files=SLOW)
        assert done.status_code == 504
        assert done.json() == {
            "error": {
                "code": "no_answer",
                "message": "There was no answer within 0.5 seconds. Try again later, or with fewer images.",
            }
        }
        for _ in range(100):  # the image that it was at is finished first
            done = served.ask(files={"i": photograph()})
            if done.status_code == 200:
                break
        assert done.json()["images"][0]["faces"][0]["label"] == "happiness"
        assert served.end() == 143
    assert served.said[2:] == ["Stopped by SIGTERM."]
