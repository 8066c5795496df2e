"""What a recipe switches on: soft labels, schedule, averaged weights, mixup, mirror images at test."""

from __future__ import annotations

import csv
import json
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch import nn

from fer_lightning.data.augmentation import cut_and_mix, mix
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.input_spec import InputSpec
from fer_lightning.errors import FERError
from fer_lightning.inference.model import open_model
from fer_lightning.model.class_prior import prior_ratio, prior_shares
from fer_lightning.networks import CompactResNet, ExpressionCNN, TorchvisionModel
from fer_lightning.training.classifier import ExpressionClassifier
from fer_lightning.training.fine_tuning import parts
from fer_lightning.training.schedules import warmup_cosine
from tests.conftest import TINY, run_here


def voted(make_data, *extra, **votes_of):
    """A data set with votes for joy and fear."""
    root = make_data([(f"p{number}.png", ("joy", "fear")[number % 2]) for number in range(20)] + list(extra))
    rows = list(csv.reader((root / "legend.csv").open()))
    with open(root / "legend.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*rows[0], "fear", "joy"])
        for row in rows[1:]:
            votes = votes_of.get(row[1][:-4], (2, 6) if row[2] == "joy" else (9, 1))
            writer.writerow([*row, *votes])
    return root


def test_soft_labels_are_the_shares_of_the_votes(make_data, tmp_path):
    root = voted(make_data)
    data = FERDataModule(
        str(root), classes=["fear", "joy"], soft_labels=True, tree_dir=str(tmp_path), image_size=8, split="stratified"
    )
    samples = data.samples(0)
    batch = samples.__getitems__(list(range(len(samples))))
    for label, target in zip(batch.labels.tolist(), batch.targets.tolist(), strict=True):
        assert target == pytest.approx([0.25, 0.75] if label == 1 else [0.9, 0.1])
    assert data.samples(2).__getitems__([0]).targets is None


def test_a_relabelled_image_keeps_its_new_label(make_data, tmp_path):
    root = voted(make_data)
    plain = FERDataModule(str(root), classes=["fear", "joy"], tree_dir=str(tmp_path), image_size=8, split="stratified")
    image = plain.folder(0).images()[0]
    (tmp_path / "relabel.csv").write_text(f"image,suggested\n{image},joy\n")
    data = FERDataModule(
        str(root),
        classes=["fear", "joy"],
        soft_labels=True,
        relabel=str(tmp_path / "relabel.csv"),
        tree_dir=str(tmp_path),
        image_size=8,
        split="stratified",
    )
    samples = data.samples(0)
    batch = samples.__getitems__([data.folder(0).images().index(image)])
    assert batch.targets.tolist() == [[0.0, 1.0]]


def test_balanced_draws_change_what_is_seen(make_data, tmp_path):
    words = {"classes": ["fear", "joy"], "tree_dir": str(tmp_path), "image_size": 8, "split": "stratified"}
    root = str(voted(make_data, *((f"q{number}.png", "fear") for number in range(20))))
    counts = FERDataModule(root, **words).training_counts()
    assert counts[0] != counts[1]
    data = FERDataModule(root, balance=1.0, batch_size=1000, **words)
    assert data.training_counts().tolist() == counts.tolist()
    assert data.training_shares().tolist() == pytest.approx((counts / counts.sum()).tolist())
    assert (data.training_draws() * counts).tolist() == pytest.approx([counts.sum().item() / 2] * 2)
    (batch,) = data.train_dataloader()
    assert len(batch.labels) == counts.sum()
    assert (batch.labels.bincount() - counts.sum() / 2).abs().max() <= 1
    soft = FERDataModule(root, balance=1.0, soft_labels=True, **words)  # shares 0.9, 0.1 and 0.25, 0.75 in turn
    assert soft.training_shares().tolist() == pytest.approx(
        ((counts @ torch.tensor([[0.9, 0.1], [0.25, 0.75]])) / counts.sum()).tolist()
    )
    with pytest.raises(FERError, match=r"--data.balance. Expected 0 to 1. Received: 2"):
        FERDataModule(root, balance=2, **words)


def test_a_run_with_balanced_draws_resumes_exactly(make_data, tmp_path):
    joy = [(f"p{number}.png", "joy") for number in range(30)]
    root = make_data([*joy, *((f"q{number}.png", "calm") for number in range(4)), ("r.png", "fear"), ("s.png", "fear")])
    words = ["fit", "--data.root", root, *TINY, "--data.split", "stratified", "--data.balance", "1"]
    words += ["--data.val_fraction", "0", "--data.train_fraction", "0.5", "--data.augmentation.rotation", "20"]
    run_here(*words, "--name", "whole", "--trainer.max_epochs", "3", cwd=tmp_path)
    run_here(*words, "--name", "cut", "--trainer.max_epochs", "1", cwd=tmp_path)
    run_here("fit", "--name", "cut", "--ckpt_path", "last", "--trainer.max_epochs", "3", cwd=tmp_path)
    whole, cut = (
        torch.load(tmp_path / f"runs/{name}/checkpoints/last.ckpt", weights_only=True) for name in ("whole", "cut")
    )
    torch.testing.assert_close(cut["state_dict"], whole["state_dict"], rtol=0, atol=0)
    assert whole["fer_lightning"]["class_shares"] == pytest.approx([2 / 18, 1 / 18, 15 / 18])


def test_answers_are_for_the_class_shares_as_they_are_however_often_classes_are_drawn(make_data, tmp_path):
    same = np.full((8, 8, 3), 120, np.uint8)  # one picture under two labels: only their frequency can be learnt
    root = make_data([(f"a{n}.png", "calm") for n in range(90)] + [(f"b{n}.png", "joy") for n in range(10)])
    for path in (root / "images").iterdir():
        Image.fromarray(same).save(path)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    for balance in (0.0, 0.5, 1.0):
        words = {"tree_dir": str(tmp_path / "tree"), "image_size": 8, "split": "stratified", "val_fraction": 0.0}
        data = FERDataModule(str(root), balance=balance, batch_size=80, num_workers=0, **words)
        model = ExpressionClassifier(
            deepcopy(network), data.class_names, data.preprocessing, optimizer=partial(torch.optim.LBFGS, max_iter=50)
        )
        options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        Trainer(max_epochs=3, enable_model_summary=False, limit_val_batches=0, accelerator="cpu", **options).fit(
            model, data
        )
        logits = model(torch.full((1, 1, 8, 8), 120, dtype=torch.uint8))
        assert logits.softmax(1)[0].tolist() == pytest.approx([0.9, 0.1], abs=0.01), balance
        assert model.class_shares == pytest.approx([0.9, 0.1])


def test_soft_labels_need_votes(drawn, tmp_path):
    with pytest.raises(FERError, match="soft_labels needs a column of votes for each class"):
        FERDataModule(str(drawn), soft_labels=True, tree_dir=str(tmp_path), image_size=8).train_dataloader()


def test_the_cosine_schedule_rises_and_falls():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warmup_cosine(optimizer, steps=110, warmup=0.1)
    rates = []
    for _ in range(111):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(2 / 11)
    assert rates[10] == rates[11] == pytest.approx(2.0)
    assert rates[11 + 99 // 2 + 0] == pytest.approx(1.0, abs=0.04)
    assert rates[110] == pytest.approx(0.0, abs=1e-6)


def test_mixup_blends_images_and_targets_in_the_same_share():
    torch.manual_seed(0)
    targets = torch.eye(16)
    images = torch.arange(16.0).view(16, 1, 1, 1).expand(16, 1, 2, 2)
    mixed, blended = mix(images, targets, 0.4)
    assert blended.sum(1).tolist() == pytest.approx([1.0] * 16)
    assert mixed[:, 0, 0, 0].tolist() == pytest.approx((blended @ torch.arange(16.0)).tolist(), abs=1e-4)
    assert not torch.equal(blended, targets)


def test_cutmix_pastes_one_rectangle_and_blends_the_targets_by_its_area():
    torch.manual_seed(0)
    targets = torch.eye(64)
    images = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 1, 20, 20)
    pasted, blended = cut_and_mix(images, targets, 1.0)
    for number, (image, shares) in enumerate(zip(pasted[:, 0], blended, strict=True)):
        other = (image != number).float()
        assert shares.sum() == pytest.approx(1)
        assert shares[number] == pytest.approx(1 - other.mean().item(), abs=1e-5)
        if other.any():
            rows, columns = other.any(1), other.any(0)
            assert other.sum() == rows.sum() * columns.sum()
            assert len(image[other.bool()].unique()) == 1
    assert 0.2 < (blended.diagonal() < 0.75).float().mean() < 0.9


def small(**options):
    return ExpressionClassifier(
        CompactResNet(2, 1, 16, 4, (8, 8), (1, 1)), ("a", "b"), InputSpec(16, "grey"), **options
    )


def test_what_is_frozen_does_not_change_and_the_rest_learns(drawn, tmp_path):
    words = ["--model.network", "CompactResNet", "--model.network.widths", "[8, 8]", "--model.network.blocks", "[1, 1]"]
    words += ["--data.root", drawn, *TINY, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"]
    run_here("fit", *words, "--model.freeze", "[stem, stages.0]", "--name", "frozen", cwd=tmp_path)
    run_here("fit", *words, "--name", "free", cwd=tmp_path)
    run_here(
        "fit",
        *words,
        "--model.freeze",
        "[stem, stages.0]",
        "--trainer.max_epochs",
        "2",
        "--name",
        "longer",
        cwd=tmp_path,
    )
    states = [
        torch.load(tmp_path / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("longer", "frozen", "free")
    ]
    for name, value in states[0].items():
        if name.startswith(("network.stem", "network.stages.0")):
            assert torch.equal(value, states[1][name]), name
            assert "weight" not in name or not torch.equal(value, states[2][name]), name
    assert not torch.equal(states[0]["network.head.3.weight"], states[1]["network.head.3.weight"])
    with pytest.raises(FERError, match=r"nothing in the network starts with 'stm'. Expected stem.0, stem.1, stages.0"):
        small(freeze=["stm"])
    with pytest.raises(FERError, match="leaves nothing to train"):
        small(freeze=["stem", "stages", "head"])


def test_layer_decay_gives_each_part_its_share_of_the_rate():
    model = small(layer_decay=0.5, optimizer=lambda groups: torch.optim.SGD(groups, lr=1.0))
    rates = [group["lr"] for group in model.configure_optimizers().param_groups]
    assert rates == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0]  # stem.0, stem.1, stages.0, stages.1, head.3
    wrapped = TorchvisionModel("mobilenet_v3_small", num_classes=5, in_channels=1)
    assert [*parts(wrapped)] == [
        *(f"model.features.{n}" for n in range(13)),
        "model.classifier.0",
        "model.classifier.3",
    ]
    (group,) = small(optimizer=lambda groups: torch.optim.SGD(groups, lr=1.0)).configure_optimizers().param_groups
    assert group["lr"] == 1.0


def test_mirror_images_at_test_make_the_answer_symmetric():
    model = ExpressionClassifier(
        ExpressionCNN(8, 1, 24, hidden=8), preprocessing=InputSpec(24, "grey"), flip_at_test=True
    )
    images = torch.randint(0, 256, (3, 1, 24, 24), dtype=torch.uint8)
    torch.testing.assert_close(model.eval()(images), model(images.flip(-1)))
    assert not torch.allclose(model.train()(images), model(images.flip(-1)))


def briefly(drawn, tmp_path, name, *words):
    """Two steps on the drawn faces; the last checkpoint's weights and the row of the epoch."""
    fit = [
        "fit",
        "--name",
        name,
        "--data.root",
        drawn,
        *TINY,
        "--trainer.max_epochs",
        "1",
        "--trainer.precision",
        "32-true",
    ]
    fit += ["--model.network.init_args.hidden", "16", "--model.optimizer", "SGD", "--trainer.limit_train_batches", "2"]
    run_here(*fit, *words, cwd=tmp_path)
    saved = torch.load(tmp_path / "runs" / name / "checkpoints/last.ckpt", weights_only=True)
    (row,) = csv.DictReader((tmp_path / "runs" / name / "metrics.csv").open())
    return saved["state_dict"], row


def test_averaged_weights_are_what_is_validated_and_kept(drawn, tmp_path):
    """The average is the weights after the first step, then moves towards those after the second."""
    rate = ["--model.optimizer.lr", "0.1"]
    first, _ = briefly(drawn, tmp_path, "first", *rate, "--trainer.limit_train_batches", "1")
    second, plain = briefly(drawn, tmp_path, "second", *rate)
    both, averaged = briefly(drawn, tmp_path, "both", *rate, "--model.ema_decay", "0.1")
    name = "classifier.1.weight"
    assert torch.equal(both[f"network.{name}"], second[f"network.{name}"])
    expected = first[f"network.{name}"] * 0.1 + second[f"network.{name}"] * 0.9
    torch.testing.assert_close(both[f"averaged.module.{name}"], expected, rtol=1e-5, atol=1e-7)
    assert averaged["train_loss"] == plain["train_loss"]
    assert averaged["val_loss"] != plain["val_loss"]
    run_here("validate", "--name", "both", "--ckpt_path", "last", cwd=tmp_path)
    found = json.loads((tmp_path / "runs/both/validate/metrics.json").read_text())
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(float(averaged["val_acc"]), abs=1e-6)


def test_only_training_images_are_augmented(drawn, tmp_path):
    """Without learning, augmentation shows in the training loss and must not in the validation loss."""
    still = ["--model.optimizer.lr", "0"]
    _, plain = briefly(drawn, tmp_path, "plain", *still)
    strong = ["--data.augmentation.brightness", "1", "--data.augmentation.erasing", "1"]
    _, augmented = briefly(drawn, tmp_path, "augmented", *still, *strong)
    assert augmented["train_loss"] != plain["train_loss"]
    assert augmented["val_loss"] == plain["val_loss"]
    _, mixed = briefly(drawn, tmp_path, "mixed", *still, "--model.mixup", "0.4")
    assert mixed["train_loss"] != plain["train_loss"]
    assert mixed["val_loss"] == plain["val_loss"]


def test_the_loss_of_the_command_line_knows_the_class_shares(drawn, tmp_path):
    """Drawn faces have equal shares, so the adjustment moves no logit against another; a legend without some does."""
    still = ["--model.optimizer.lr", "0"]
    rows = (drawn / "legend.csv").read_text().splitlines()
    kept = [row for number, row in enumerate(rows) if not row.endswith(",fear") or number % 3 == 0]
    (tmp_path / "legend.csv").write_text("\n".join(kept) + "\n")
    uneven = ["--data.legend", "legend.csv", "--data.images", drawn / "images"]
    _, plain = briefly(drawn, tmp_path, "plain", *still, *uneven)
    for option in (("--model.loss.logit_adjustment", "1"), ("--model.loss.class_weights", "inverse")):
        _, adjusted = briefly(drawn, tmp_path, "adjusted", *still, *uneven, *option)
        assert adjusted["train_loss"] != plain["train_loss"]
        assert adjusted["val_loss"] == plain["val_loss"]


def test_the_schedule_needs_a_length(drawn, tmp_path, capsys):
    words = ["fit", "--data.root", drawn, *TINY, "--model.schedule", "cosine", "--trainer.max_epochs", "-1"]
    with pytest.raises(SystemExit):
        run_here(*words, cwd=tmp_path)
    assert "--trainer.max_epochs" in capsys.readouterr().err


def test_another_class_prior_moves_answers_by_bayes_rule():
    logits = torch.tensor([[2.0, 1.0]])
    model = small(class_prior=[0.3, 0.7])
    model.class_shares = [0.9, 0.1]
    model.temperature.fill_(2.0)
    before = (logits / 2).softmax(1)[0]
    expected = before * torch.tensor([0.3 / 0.9, 0.7 / 0.1])
    torch.testing.assert_close(model.probabilities(logits)[0], expected / expected.sum())
    assert model.adapted(logits).argmax() == 1
    assert small().adapted(logits).equal(logits)
    with pytest.raises(FERError, match=r"--model.class_prior needs a model that knows the class shares"):
        small(class_prior="uniform").adapted(logits)
    for wrong in ([0.5, 0.4, 0.1], [0.9, 0.9], "even", -0.5, [0.5, "half"]):
        with pytest.raises(FERError, match=r"--model.class_prior. Expected training, uniform, a number from 0 to 10"):
            small(class_prior=wrong)


def test_a_number_as_class_prior_lies_between_training_and_uniform():
    learnt = [0.81, 0.16, 0.03]
    assert prior_shares(1, "abc", learnt) == prior_shares("training", "abc", learnt) == learnt
    assert prior_shares(0, "abc", learnt) == pytest.approx(prior_shares("uniform", "abc", learnt))
    assert prior_shares(2, "abc", [0.9, 0.3, 0.1]) == pytest.approx([0.81 / 0.91, 0.09 / 0.91, 0.01 / 0.91])
    half = [0.9, 0.4, 0.03**0.5]
    assert prior_shares(0.5, "abc", learnt) == pytest.approx([share / sum(half) for share in half])
    never = prior_shares([0.5, 0.5, 0], "abc", learnt)
    assert prior_ratio("uniform", "abc", never).isfinite().all()
    model = small(class_prior=0.5)
    model.class_shares = [0.8, 0.2]
    assert model.answered_shares == pytest.approx([2 / 3, 1 / 3])
    logits = torch.tensor([[0.8, 0.2]]).log()  # an image that says nothing
    assert model.probabilities(logits)[0].tolist() == pytest.approx([2 / 3, 1 / 3])


def test_the_class_prior_of_a_training_stays_with_its_exports(drawn, tmp_path):
    words = ["--data.root", drawn, *TINY, "--model.network.init_args.hidden", "16", "--trainer.max_epochs", "1"]
    words += ["--data.balance", "0.5", "--model.class_prior", "[0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]"]
    run_here("fit", *words, cwd=tmp_path)
    run_here("export", "--ckpt_path", "best", "--output", "a.safetensors", cwd=tmp_path)
    run_here("export", "--ckpt_path", "best", "--output", "a.pt2", cwd=tmp_path)
    models = [open_model(tmp_path / name, "cpu") for name in ("runs/default/checkpoints/best.ckpt", "a.safetensors")]
    contract = models[0].preprocessing
    shape = (5, contract.channels, contract.image_size, contract.image_size)
    faces = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    models.append(open_model(tmp_path / "a.pt2", "cpu"))
    answers = [model(faces) for model in models]
    torch.testing.assert_close(answers[1], answers[0], atol=2e-3, rtol=0)
    torch.testing.assert_close(answers[2], answers[0], atol=1e-5, rtol=0)
    for model in models:
        assert model.class_shares == pytest.approx([0.3] + [0.1] * 7)
        model.assume("uniform")
        uniform = answers[0] / torch.tensor(model.class_shares)
        torch.testing.assert_close(model(faces), uniform / uniform.sum(1, keepdim=True), atol=5e-3, rtol=0)
    run_here("test", "--ckpt_path", "a.safetensors", "--data.root", drawn, "--data.num_workers", "0", cwd=tmp_path)
    assert json.loads((tmp_path / "runs/a/test/metrics.json").read_text())["class_prior"][0] == 0.3
    run_here("fit", "--ckpt_path", "a.safetensors", "--name", "b", *words[:-2], cwd=tmp_path)
    assert "class_prior: training" in (tmp_path / "runs/b/config.yaml").read_text()


def test_the_class_prior_is_for_test_and_stays_out_of_training(drawn, tmp_path):
    """Soft labels or not, the checkpoint knows the shares of its targets, and a test may assume others."""
    words = ["--data.root", drawn, *TINY, "--model.network.init_args.hidden", "16", "--trainer.max_epochs", "1"]
    run_here("fit", *words, cwd=tmp_path)
    about = torch.load(tmp_path / "runs/default/checkpoints/best.ckpt", weights_only=True)["fer_lightning"]
    assert about["class_shares"] == pytest.approx([1 / 8] * 8, abs=1e-6)
    prior = "[0.93, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]"
    run_here("test", "--ckpt_path", "best", "--model.class_prior", prior, "--data.num_workers", "0", cwd=tmp_path)
    with open(tmp_path / "runs/default/test/predictions.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    report = json.loads((tmp_path / "runs/default/test/metrics.json").read_text())["metrics"]
    right = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert report["accuracy"]["value"] == pytest.approx(right)
    assert sum(row["predicted"] == "anger" for row in rows) > len(rows) / 2


def test_a_network_of_one_size_cannot_be_shown_small_images(drawn, tmp_path, capsys):
    words = ["fit", "--data.root", drawn, *TINY, "--data.augmentation.sizes", "[8, 12]", "--trainer.max_epochs", "2"]
    with pytest.raises(SystemExit):
        run_here(*words, cwd=tmp_path)
    assert "cannot take a batch of shape (1, 1, 8, 8)" in capsys.readouterr().err
    any_size = ["--model.network", "CompactResNet", "--trainer.limit_train_batches", "2"]
    run_here(*words, *any_size, cwd=tmp_path)
    rows = list(csv.DictReader((tmp_path / "runs/default/metrics.csv").open()))
    assert len(rows) == 2
