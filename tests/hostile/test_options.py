"""Any command line ends well: drawn ones, over every verb and option. `FER_EXAMPLES=5000` draws so many."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.boxes import OWN, make_template
from tests.hostile.cases import DATA, FIT, PREDICT
from tests.hostile.running import run

EXAMPLES = int(os.environ.get("FER_EXAMPLES", "100" if os.environ.get("CI") else "10"))

VERBS = {
    "fit": FIT,
    "test": f"test {DATA} --ckpt_path ../given/good.ckpt --name t",
    "validate": f"validate {DATA} --ckpt_path ../given/good.safetensors --name v",
    "predict": f"{PREDICT} --input ../given/photos",
    "audit": f"audit {DATA.split(' --data.image')[0]}",
    "export": "export --ckpt_path ../given/good.ckpt --output x.safetensors",
    "compare": "compare base base2",
    "crossval": "crossval --subset validation",
    "ferplus": "ferplus --fer2013 ../given/data/legend.csv --votes ../given/data/legend.csv --output f",
    "estimate_prior": "estimate_prior --rows ../given/data/legend.csv",
}
ENDS = {"fit": ["--trainer.max_epochs=1", "--trainer.max_time=00:00:00:20"], "crossval": ["--data.root=nowhere"]}
"""What stands last, so that no example is a long training that was asked for."""

VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "-1", "2", "0.5", "1e30", "nan", "inf", "-inf", "99999999999999999999", "²", "null", "true"]
    ),
    st.sampled_from(
        ["[]", "[1]", "[0.5, 0.5]", "{}", "{a: 1}", "a: 1", "[[", "&a [*a]", "!!python/name:os.system", "auto", "cpu"]
    ),
    st.sampled_from(
        ["best", "last", "pretrained", "uniform", "training", "grouped", "detect", "whole", "gray", "rgb", "cuda"]
    ),
    st.sampled_from(["detect_or_whole", "align", "box"]),
    st.sampled_from(
        ["os.system", "torch.nn.Linear", "CompactResNet", "CrossEntropy", "torch.optim.SGD", "evil.Net", "x" * 5000]
    ),
    st.sampled_from(
        [
            "nowhere",
            "x.csv",
            "x.png",
            "x.mp4",
            "a/b/c",
            ".",
            "..",
            "/dev/zero",
            "/dev/null",
            "~",
            "a\nb",
            "\x1b[2J",
            "\udcff",
        ]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(st.characters(exclude_characters="\0/", exclude_categories=()), max_size=8),
)
READ = st.sampled_from(
    [
        "../given/data",
        "../given/photos",
        "../given/good.ckpt",
        "../given/film.mp4",
        "../given/data/legend.csv",
        "../outside",
    ]
)
_WRITES = (
    "dir",
    "output",
    "annotate",
    "explain",
    "timeline",
    "logger",
    "callbacks",
    "profiler",
    "name",
    "strategy",
    "plugins",
    "config",
    "c",
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every example gets a copy of."""
    return make_template(tmp_path_factory.mktemp("options"))


@pytest.fixture(scope="module")
def options(template: Path) -> dict[str, list[str]]:
    """Every option of every verb, as its help names them."""
    found = {}
    for verb in VERBS:
        text = run([verb, "--help_all"], template).said
        found[verb] = sorted(set(re.findall(r"(?<![\w.-])--[a-zA-Z][\w.+]*", text)) - {"--help_all", "--help"})
    assert len(found["fit"]) > 100
    return found


@pytest.mark.slow
def test_any_command_line_ends_well(template: Path, options: dict[str, list[str]]):
    bad: list[str] = []

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(st.data())
    def try_one(data: st.DataObject) -> None:
        words = command_line(data, options)
        box = template.parents[1] / "example" / "box"
        shutil.rmtree(box.parent, ignore_errors=True)
        shutil.copytree(template, box, symlinks=True)
        ended = run(words, box, may_change=OWN)
        if ended.complaints:  # a command line is short: none is looked for that is shorter
            bad.append(f"{words}\n{ended.complaints}\n{ended.said[-1000:]}")
            print(bad[-1], flush=True)

    try_one()
    assert not bad, f"{len(bad)} of {EXAMPLES}:\n" + "\n\n".join(bad)


def command_line(data: st.DataObject, options: dict[str, list[str]]) -> list[str]:
    """A verb with what it needs, and up to four options with drawn values."""
    verb = data.draw(st.sampled_from(list(VERBS)))
    words = VERBS[verb].split()
    for _ in range(data.draw(st.integers(1, 4))):
        option = data.draw(st.sampled_from(options[verb]))
        reads = not option.rpartition(".")[2].strip("-").endswith(_WRITES)
        words.append(f"{option}={data.draw(VALUES | READ if reads else VALUES)}")
    return words + ENDS.get(verb, [])
