"""Options of a training that cannot work: one message, and the earlier run stays where it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import TINY, run_here

REFUSED = """
--seed_everything -1                            | Invalid value for --seed_everything. Expected 0 to 4294967295.
--seed_everything 1099511627776                 | Invalid value for --seed_everything
--trainer.accumulate_grad_batches 0             | Invalid value for --trainer.accumulate_grad_batches
--trainer.limit_train_batches 0                 | Invalid value for --trainer.limit_train_batches
--trainer.limit_train_batches 0.01              | There is nothing to train on: 144 training images
--trainer.max_epochs 0                          | Invalid value for --trainer.max_epochs
--trainer.max_epochs -2                         | Invalid value for --trainer.max_epochs
--trainer.max_steps 0                           | Invalid value for --trainer.max_steps
--early_stopping.patience -1                    | Invalid value for --early_stopping.patience
--trainer.val_check_interval 1000               | at most the number of training batches, 9
--trainer.val_check_interval 0                  | Invalid value for --trainer.val_check_interval
--trainer.num_nodes 2                           | --trainer.num_nodes 2 waits for 1 other machine
--trainer.strategy fsdp                         | --trainer.strategy fsdp divides the weights
--trainer.strategy FSDPStrategy                 | --trainer.strategy FSDPStrategy divides the weights
--trainer.devices 0                             | Invalid value for --trainer.devices
--trainer.devices 9999                          | Invalid value for --trainer.devices
--trainer.accelerator tpu                       | Invalid value for --trainer.accelerator
--trainer.precision 3                           | precision
--model.ema_decay -1                            | Invalid value for --model.ema_decay
--model.fine_tuning.layer_decay -1              | Invalid value for --model.fine_tuning.layer_decay
--data.sampling.strength 2                      | Invalid value for --data.sampling.strength
--checkpoint_best.filename last                 | which is where a run goes on from
--checkpoint_best.filename a/b                  | it has a slash in it
--checkpoint_best.filename=                     | it is empty
--checkpoint_best.filename {epoch               | which is no pattern
--checkpoint_best.filename {foo}                | Received: foo
--checkpoint_best.dirpath elsewhere             | is the run's own folder
--checkpoint_best.save_top_k 0                  | would keep nothing
--checkpoint_best.save_on_exception true        | 'best.ckpt' is one file
--checkpoint_best.save_last true                | last.ckpt is always kept
--name .                                        | it is a place, not a name
--name ..                                       | it is a place, not a name
--name=                                         | it is empty
--name a/b                                      | it has a slash in it
--config {name:\u00a0../x}                      | it has a slash in it
--runs_dir here --name data_set                 | holds no run
""".strip().splitlines()


@pytest.fixture(scope="module")
def earlier(tmp_path_factory) -> Path:
    """A folder with an earlier run, and one that is none."""
    folder = tmp_path_factory.mktemp("earlier")
    for file in ("runs/default/checkpoints/last.ckpt", "here/data_set/images/a.png"):
        (folder / file).parent.mkdir(parents=True)
        (folder / file).write_text("")
    return folder


@pytest.mark.parametrize("line", REFUSED)
def test_one_message_and_nothing_is_moved(drawn, earlier, tmp_path, monkeypatch, capsys, line):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    words, message = (part.strip() for part in line.split(" | "))
    options = [word.replace("\u00a0", " ") for word in words.split(" ")]
    fit = ["fit", "--data.root", drawn, *TINY, "--data.prepared_dir", tmp_path, "--trainer.max_epochs", "1"]
    with pytest.raises(SystemExit, match="2"):
        run_here(*fit, *options, cwd=earlier)
    assert message in capsys.readouterr().err
    places = sorted(str(path.relative_to(earlier)) for path in earlier.glob("*/*"))
    assert [place for place in places if not place.endswith(".lock")] == ["here/data_set", "runs/default"]
    assert not (earlier / "x").exists()


@pytest.mark.parametrize(("images", "size", "why"), [(9, 2, "such as 3"), (1, 2, "there is one training image")])
def test_a_last_batch_of_one_image_and_batch_normalization(make_data, tmp_path, monkeypatch, capsys, images, size, why):
    split = ["training"] * images + ["testing"] * 2
    root = make_data([(f"{number}.png", "anger") for number in range(len(split))])
    lines = (root / "legend.csv").read_text().splitlines()
    lines = [f"{lines[0]},split", *(f"{line},{part}" for line, part in zip(lines[1:], split, strict=True))]
    (root / "legend.csv").write_text("\n".join(lines))
    (tmp_path / "normed.py").write_text(
        "from torch import nn\n"
        "class Normed(nn.Sequential):\n"
        "    def __init__(self, num_classes: int):\n"
        "        super().__init__(nn.Flatten(), nn.LazyLinear(4), nn.BatchNorm1d(4), nn.Linear(4, num_classes))\n"
        "        import torch; self(torch.zeros(2, 1, 32, 32))\n"
    )
    options = ["--data.split", "predefined", "--data.val_fraction", "0", "--data.classes", "[anger, fear]"]
    network = ["--model.network", "normed.Normed", "--data.batch_size", str(size)]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "normed", raising=False)
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--data.root", root, *TINY, *options, *network, "--trainer.max_epochs", "1", cwd=tmp_path)
    said = capsys.readouterr().err
    assert "batch normalization needs two" in said
    assert why in said
    assert not (tmp_path / "runs").exists()


def test_folds_that_the_data_do_not_carry(drawn, tmp_path, capsys):
    folds = ("--data.fold", "0", "--data.folds", "13")  # of 12 people
    with pytest.raises(SystemExit, match="2"):
        run_here("fit", "--data.root", drawn, *TINY, *folds, cwd=tmp_path)
    assert "--data.folds. Expected fewer, at most 12. Received: 13" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
