"""Targets that are in part a teacher's answers."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from fer_lightning.checkpoints.finding import PRETRAINED
from fer_lightning.checkpoints.reading import info_of, load_model, read_checkpoint
from fer_lightning.checkpoints.weights import save_weights
from fer_lightning.data.data_info import DataInfo, TrainingData
from fer_lightning.data.legend import EXPRESSIONS
from fer_lightning.errors import FERError
from fer_lightning.training.distillation import Distillation
from tests.conftest import run_here


def prepared(teacher: str | list[str] = "pretrained", names=EXPRESSIONS, prior=(), **changes) -> Distillation:
    distillation = Distillation(teacher, 0.25)
    spec = replace(read_checkpoint(PRETRAINED)[0].input_spec, **changes)
    distillation.prepare(DataInfo(tuple(names), spec, TrainingData(target_prior=tuple(prior))))
    return distillation


def test_targets_are_blended_with_answers_for_the_new_class_frequencies():
    prior = torch.tensor([0.3, 0.0, 0.1, 0.1, 0.1, 0.2, 0.1, 0.1])
    distillation = prepared(prior=prior.tolist())
    images = torch.randint(0, 256, (5, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    targets = torch.eye(8)[[0, 1, 2, 3, 4]]
    model = load_model(PRETRAINED)
    answers = (model(images) / model.temperature).softmax(1)
    answers = answers * prior.clamp(min=1e-6) / torch.tensor(model.learned_prior)
    expected = 0.75 * targets + 0.25 * answers / answers.sum(1, keepdim=True)
    torch.testing.assert_close(distillation(images, targets), expected, atol=1e-5, rtol=1e-4)


def test_several_teachers_answer_with_their_mean(tmp_path):
    other = load_model(PRETRAINED)
    torch.nn.init.normal_(other.network.head[-1].weight, generator=torch.Generator().manual_seed(1))
    save_weights(info_of(other), other.network.state_dict(), tmp_path / "other.safetensors", half=False)
    images = torch.randint(0, 256, (5, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    targets = torch.eye(8)[[0, 1, 2, 3, 4]]
    one, two = prepared(), prepared(str(tmp_path / "other.safetensors"))
    both = prepared(["pretrained", str(tmp_path / "other.safetensors")])
    assert both.name == "pretrained, other.safetensors"
    assert (one(images, targets) - two(images, targets)).abs().max() > 0.01
    torch.testing.assert_close(both(images, targets), (one(images, targets) + two(images, targets)) / 2)
    with pytest.raises(FERError, match=r"--model.distillation.teacher. Expected a file or more. Received: \[\]"):
        Distillation([])


def test_a_teacher_that_does_not_fit_is_refused():
    with pytest.raises(FERError, match=r"knows other classes. Expected happiness, anger. Received: anger, contempt"):
        prepared(names=["happiness", "anger"])
    with pytest.raises(FERError, match=r"--data.image_size has to be 48. Received: 64"):
        prepared(image_size=64)
    expected = (
        r"--model.distillation.teacher. Expected pretrained, pretrained-large or a file, found nothing at 'gone.ckpt'"
    )
    with pytest.raises(FERError, match=expected):
        prepared("gone.ckpt")
    with pytest.raises(FERError, match=r"--model.distillation.weight. Expected 0 to 1. Received: 3"):
        Distillation("pretrained", 3)


@pytest.mark.slow
def test_a_run_with_a_teacher_resumes_exactly_and_needs_it_for_the_training_alone(drawn, tmp_path, capsys):
    shutil.copy(PRETRAINED, tmp_path / "teacher.safetensors")
    words = ["fit", "--data.root", drawn, "--data.image_size", "48", "--data.num_workers", "0"]
    words += ["--model.network.init_args.hidden", "8", "--model.distillation.teacher", "teacher.safetensors"]
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
    assert not torch.equal(whole["model.network.features.0.weight"], alone["model.network.features.0.weight"])
    for name in ("whole", "cut"):
        card = (tmp_path / f"runs/{name}/model_card.md").read_text()
        assert "A part of every target was the answer of `teacher.safetensors`." in card
    (tmp_path / "teacher.safetensors").unlink()
    run_here("test", "--name", "whole", "--ckpt_path", "best", cwd=tmp_path)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run_here(*words, "--name", "more", cwd=tmp_path)
    expected = "Expected pretrained, pretrained-large or a file, found nothing at 'teacher.safetensors'"
    assert f"--model.distillation.teacher. {expected}" in capsys.readouterr().err
    assert not (tmp_path / "runs/more").exists()
