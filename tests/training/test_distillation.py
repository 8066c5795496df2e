"""Targets that are in part a teacher's answers."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from fer_lightning.checkpoints.reading import load_classifier
from fer_lightning.checkpoints.weights import PRETRAINED
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.errors import FERError
from fer_lightning.training.distillation import Teacher
from tests.conftest import run_here


def test_targets_are_blended_with_answers_for_the_new_class_shares():
    model = load_classifier(PRETRAINED)
    shares = torch.tensor([0.3, 0.0, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1])
    teacher = Teacher("pretrained", 0.25, EXPRESSIONS, model.preprocessing)
    teacher.start(shares, torch.device("cpu"))
    images = torch.randint(0, 256, (5, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    targets = torch.eye(8)[[0, 1, 2, 3, 4]]
    with torch.no_grad():
        answers = (model(images) / model.temperature).softmax(1)
    answers = answers * shares.clamp(min=1e-6) / torch.tensor(model.class_shares)
    expected = 0.75 * targets + 0.25 * answers / answers.sum(1, keepdim=True)
    torch.testing.assert_close(teacher(images, targets), expected, atol=1e-5, rtol=1e-4)


def test_a_teacher_that_does_not_fit_is_refused(tmp_path):
    contract = load_classifier(PRETRAINED).preprocessing
    with pytest.raises(FERError, match=r"knows other classes. Expected happiness, anger. Received: anger, contempt"):
        Teacher("pretrained", 0.3, ["happiness", "anger"], contract)
    with pytest.raises(FERError, match=r"--data.image_size has to be 48. Received: 64"):
        Teacher("pretrained", 0.3, EXPRESSIONS, replace(contract, image_size=64))
    with pytest.raises(FERError, match=r"--model.teacher. Expected pretrained or a file, found nothing at 'gone.ckpt'"):
        Teacher("gone.ckpt", 0.3, EXPRESSIONS, contract)
    with pytest.raises(FERError, match=r"--model.teacher_share. Expected 0 to 1. Received: 3"):
        Teacher("pretrained", 3, EXPRESSIONS, contract)


def test_a_run_with_a_teacher_resumes_exactly_and_needs_it_for_the_training_alone(drawn, tmp_path, capsys):
    shutil.copy(PRETRAINED, tmp_path / "teacher.safetensors")
    words = ["fit", "--data.root", drawn, "--data.image_size", "48", "--data.num_workers", "0"]
    words += ["--model.network.init_args.hidden", "8", "--model.teacher", "teacher.safetensors"]
    run_here(*words, "--name", "whole", "--trainer.max_epochs", "2", cwd=tmp_path)
    run_here(*words, "--name", "cut", "--trainer.max_epochs", "1", cwd=tmp_path)
    run_here("fit", "--name", "cut", "--ckpt_path", "last", "--trainer.max_epochs", "2", cwd=tmp_path)
    run_here(*words[:-2], "--name", "alone", "--trainer.max_epochs", "2", cwd=tmp_path)
    whole, cut, alone = (
        torch.load(tmp_path / f"runs/{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "cut", "alone")
    )
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)
    assert set(whole) == set(alone)
    assert not torch.equal(whole["network.features.0.weight"], alone["network.features.0.weight"])
    for name in ("whole", "cut"):
        card = (tmp_path / f"runs/{name}/model_card.md").read_text()
        assert "A part of every target was the answer of `teacher.safetensors`." in card
    (tmp_path / "teacher.safetensors").unlink()
    run_here("test", "--name", "whole", "--ckpt_path", "best", cwd=tmp_path)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run_here(*words, "--name", "more", cwd=tmp_path)
    assert (
        "--model.teacher. Expected pretrained or a file, found nothing at 'teacher.safetensors'"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "runs/more").exists()
