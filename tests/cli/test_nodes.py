"""What machines of a training agree on: threads stand for them, which speak over a real store."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import PrefixStore, TCPStore

from fer_lightning.cli.node_runs import bring_last
from fer_lightning.cli.nodes import Nodes, RefusedElsewhereError
from fer_lightning.cli.same_settings import check_same
from fer_lightning.errors import FERError

LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"


def together(work: Callable[[Nodes], Any], count: int = 2) -> list[Any]:
    """What the work on each machine gives, or raises."""
    server = TCPStore("localhost", 0, None, True, timedelta(seconds=20))

    def one(number: int) -> Any:
        store = TCPStore("localhost", server.port, None, False, timedelta(seconds=20))
        try:
            return work(Nodes(PrefixStore("test", store), number, count, first=True))
        except FERError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def run_at(place: Path, step: int, run: str = "a", size: int = 10) -> Path:
    """A run's folder that stands at a step, with a checkpoint of so many numbers."""
    folder = place / "runs/x"
    (folder / "checkpoints").mkdir(parents=True)
    state = {"global_step": step, "epoch": step // 10, "weights": torch.full((size,), float(step))}
    torch.save(state | {"fer_lightning": {}}, folder / LAST)
    torch.save(state, folder / BEST)
    (folder / "config.yaml").write_text(f"seed_everything: {step}\nname: x\nruns_dir: runs\nmodel: x\n")
    if run:
        (folder / "run_id.txt").write_text(f"{run}\n")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def bring(*places: Path) -> list[Any]:
    return together(lambda there: bring_last(there, places[there.number] / "runs/x"), len(places))


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    return [tmp_path / name for name in "abc"]


def test_the_furthest_checkpoint_gets_everywhere(places, capsys):
    """To a machine that is behind, and to one that has nothing; a file takes three messages."""
    run_at(places[0], 10)
    furthest = files(run_at(places[1], 30, size=3_000_000))
    assert len(furthest[LAST]) > 12_000_000
    assert bring(*places) == [None] * 3
    for place in places:
        assert files(place / "runs/x") == furthest
    said = capsys.readouterr().out
    assert "is at step 10 here, and at step 30 on machine 1" in " ".join(said.split())
    assert "is not here yet" in " ".join(said.split())
    assert bring(*places) == [None] * 3  # now there is nothing to do
    assert capsys.readouterr().out == ""


def test_where_nobody_has_a_checkpoint_nothing_happens(places):
    assert bring(*places) == [None] * 3
    assert not any(place.exists() for place in places)


@pytest.mark.parametrize("ids", [("a", "b"), ("", ""), ("a", "")])
def test_checkpoints_of_two_runs_are_refused_everywhere_and_stay(places, ids):
    before = [files(run_at(place, step, run)) for place, step, run in zip(places, (10, 30), ids, strict=False)]
    for said in bring(*places[:2]):
        assert "on machine 0 (at step 10) is another one than on machine 1 (at step 30)" in str(said)
    assert [files(place / "runs/x") for place in places[:2]] == before


def test_a_run_copied_by_hand_is_the_same_one(places):
    for place in places[:2]:
        run_at(place, 10, "")
    (places[1] / "runs/x/metrics.csv").write_text("epoch\n")
    assert bring(*places[:2]) == [None, None]


def test_another_run_without_a_last_checkpoint_is_kept_aside(places):
    earlier = run_at(places[0], 10, "older")
    (earlier / LAST).rename(earlier / "checkpoints/epoch=1.ckpt")
    before = files(earlier)
    run_at(places[1], 30)
    assert bring(*places[:2]) == [None, None]
    kept = next(path for path in (places[0] / "runs").iterdir() if path.name.startswith("x-"))
    assert files(kept) == before
    assert files(places[0] / "runs/x") == files(places[1] / "runs/x")


def test_a_damaged_checkpoint_is_named_and_the_others_hear_of_it(places):
    run_at(places[0], 10)
    (run_at(places[1], 30) / LAST).write_bytes(b"x" * 100)

    def work(there: Nodes) -> None:
        try:
            bring_last(there, places[there.number] / "runs/x")
        except FERError as error:
            if not isinstance(error, RefusedElsewhereError):
                there.refuse(str(error))
            raise

    first, second = together(work)
    assert "last.ckpt': it is damaged" in str(second)
    assert "Another machine of this training has refused it, so this one ends too. By machine 1: " in str(first)
    assert "it is damaged" in str(first)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            "model: {optimizer: {class_path: Adam, init_args: {lr: 0.01}}}",
            "--model.optimizer.lr is 0.001 on machine 0 ",
        ),
        ("model: {}", "--model.optimizer is Adam on machine 0 and not said on machine 1"),
    ],
)
def test_machines_that_were_told_different_things_are_refused_with_the_first_one(config, said):
    first = "model: {optimizer: {class_path: Adam, init_args: {lr: 0.001}}}\ndata: {root: /a}"
    for answer in together(lambda there: check_same(there, config if there.number else first, None, None)):
        assert said in str(answer)


def test_where_things_lie_may_differ_but_not_what_lies_there(tmp_path):
    configs = [f"data: {{root: /{name}, batch_size: 8}}\nckpt_path: {name}.ckpt" for name in "ab"]
    for name in "ab":
        (tmp_path / f"{name}.ckpt").write_text("same")
    paths = [str(tmp_path / "a.ckpt"), str(tmp_path / "b.ckpt")]
    assert together(lambda there: check_same(there, configs[there.number], paths[there.number], None)) == [None] * 2
    (tmp_path / "b.ckpt").write_text("other")
    for answer in together(lambda there: check_same(there, configs[there.number], paths[there.number], None)):
        assert "the checkpoint is " in str(answer)


def test_a_topic_may_come_up_again():
    def work(there: Nodes) -> list[list[int]]:
        return [there.gather("news", 10 * there.number + time) for time in range(3)]

    assert together(work) == [[[0, 10], [1, 11], [2, 12]]] * 2


def test_nobody_waits_for_ever():
    began = time.monotonic()

    def work(there: Nodes) -> None:
        if there.number == 0:
            there.gather("news", 1, patience=0.5)

    said, _ = together(work)
    assert "has not said 'news/1/1' within 0.5 seconds" in str(said)
    assert time.monotonic() - began < 10
