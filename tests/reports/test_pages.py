"""The pages, in a real browser: on a telephone, in the dark, without a network, on paper."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_lightning.audit.audit import DataOptions, audit
from fer_lightning.evaluation.measures import MEASURES
from fer_lightning.reports.evaluation import evaluate
from tests.browsers import chromium

pytestmark = pytest.mark.browser

LONG = "a-very-long-name-of-something-that-somebody-has-called-so-without-a-single-space-in-it"


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def report(predictions, folder: Path, **about: Any) -> Path:
    """A report with groups, a wrong calibration, learning curves, and names that are hard to fit in."""
    right = np.array([True] * 27 + [False] * 3 + [True, False, False] * 10)
    answers = np.where(right, predictions.labels, (predictions.labels + 1) % 3)
    columns = {"sex": ["f"] * 30 + ["m"] * 30, LONG: [LONG] * 30 + ["b"] * 30}
    given = replace(predictions, probabilities=np.eye(3)[answers] * 0.7 + 0.1, attributes=columns)
    history = folder / "metrics.csv"
    history.write_text("epoch,train_loss,val_loss,train_acc,val_acc\n0,2,2,0.5,0.5\n1,1,1.5,0.7,0.6\n")
    about = {"subset": "testing", "checkpoint": f"runs/{LONG}/best.ckpt", "config": f"name: {LONG}{LONG}\n"} | about
    evaluate(
        replace(given, class_names=("anger", LONG, "jolly")),
        np.array([0.5, 0.4, 0.1]),
        folder / "data_set" / "images",
        folder / LONG / "test",
        about,
        history,
        uncalibrated=predictions.probabilities,
    )
    return folder / LONG / "test" / "report.html"


def crossval(predictions, folder: Path) -> Path:
    """The report over all folds."""
    each = {name: {"value": 0.5, "baseline": 0.1} for name in MEASURES}
    spread = {"mean": 0.5, "sd": None, "lowest": 0.5, "highest": 0.5}
    folds = {
        "folds": 3,
        "seeds": 1,
        "metrics": dict.fromkeys(MEASURES, spread),
        "baseline": dict.fromkeys(MEASURES, 0.1),
        "each": [{"run": f"seed0-fold{n}", "seed": 0, "fold": n, "images": 20, "metrics": each} for n in range(3)],
    }
    command = f"python train.py crossval --folds 3 --data.root {LONG}"
    return report(predictions, folder, subset="all 3 folds'", crossval=folds, how={"command": command})


def audited(predictions, folder: Path) -> Path:
    """An audit that found duplicates, labels in doubt and a file that cannot be read."""
    images = folder / "data_set" / "images"
    for number in range(3):
        shutil.copy(images / f"p{number}_{3 * number}.png", images / f"{LONG}_{number}.png")
    with (folder / "data_set/legend.csv").open("a") as legend:
        legend.writelines(f"tester,{LONG}_{number}.png,fear\n" for number in range(3))
    (images / "p19_57.png").write_bytes(b"no image")
    doubtful = replace(predictions, probabilities=np.eye(3)[(predictions.labels + (np.arange(60) < 6)) % 3] * 0.7 + 0.1)
    doubtful.write_csv(folder / "predictions.csv")
    audit(
        DataOptions(str(folder / "data_set")), str(folder / "audit"), [str(folder / "predictions.csv")], fail_on="never"
    )
    return folder / "audit" / "report.html"


@pytest.mark.parametrize("made", [report, crossval, audited])
def test_a_page_fits_a_telephone_and_opens_offline(browser, predictions, tmp_path, made):
    page = made(predictions, tmp_path)
    shown = page.rename(tmp_path / "alone.html")  # one file is all it needs
    context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
    opened = context.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(shown.as_uri())
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
    wide = "[...document.querySelectorAll('h1, h2, h3, p, dl, figure, .note, .gallery')]"
    assert (
        opened.evaluate(f"{wide}.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.outerHTML)") == []
    )
    assert opened.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    assert opened.evaluate("[...document.querySelectorAll('table')].every(one => one.closest('.table'))")
    assert opened.evaluate("[...document.querySelectorAll('th')].every(one => one.scope)")
    missing = "[...document.querySelectorAll('nav a, .summary a')].map(one => one.hash.slice(1))"
    assert opened.evaluate(f"{missing}.filter(id => !document.getElementById(id))") == []
    first = opened.evaluate("document.querySelector('header').nextElementSibling.className")
    assert first == "summary"
    assert not any(mark in opened.inner_text("body") for mark in ("`", "**", "None", "nan", "<"))
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_charts_stand_out_from_the_page(browser, predictions, tmp_path, scheme):
    page = report(predictions, tmp_path)
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    opened = context.new_page()
    opened.goto(page.as_uri())
    charts = opened.locator(".chart img").all()
    assert len(charts) == 4
    for place in (opened.locator(".summary"), opened.locator(".confusion"), *charts):
        pixels = np.asarray(Image.open(io.BytesIO(place.screenshot())).convert("L")).astype(int)
        ground = np.median(pixels)
        assert ground > 230 if scheme == "light" else ground < 60
        assert np.abs(pixels - ground).max() > 130
    context.close()


def test_on_paper_nothing_is_cut_off(browser, predictions, tmp_path):
    """The contents, which are of no use there, are left out; tables are as wide as the paper lets them."""
    page = report(predictions, tmp_path)
    opened = browser.new_page(viewport={"width": 718, "height": 1000})  # A4 with margins of 10 mm
    opened.goto(page.as_uri())
    opened.emulate_media(media="print")
    assert not opened.locator("nav").is_visible()
    cut = "[...document.querySelectorAll('.table')].filter(one => getComputedStyle(one).overflowX != 'visible').length"
    assert opened.evaluate(cut) == 0
    assert opened.evaluate("document.documentElement.scrollWidth") == 718
    opened.close()


def test_calibration_that_did_harm_is_named(predictions, tmp_path, capsys):
    """Answers that are right as often as they say, sharpened: both measures of calibration rise."""
    sharp = predictions.probabilities**3
    sharp /= sharp.sum(1, keepdims=True)
    where = (np.ones(3) / 3, tmp_path / "data_set" / "images", tmp_path / "out")
    worse = replace(predictions, probabilities=sharp)
    wrong = replace(worse, labels=(predictions.labels + 1) % 3)  # and wrong as a rule
    content = evaluate(wrong, *where, uncalibrated=predictions.probabilities)
    before, after = content["uncalibrated"], content["metrics"]
    said = (
        f"Calibration made it worse on these images: it raised the expected calibration error from {before['ece']:.3f} "
        f"to {after['ece']['value']:.3f} and the negative log-likelihood from {before['nll']:.3f} to "
        f"{after['nll']['value']:.3f}."
    )
    assert before["ece"] < after["ece"]["value"]
    assert said in (tmp_path / "out/report.html").read_text()
    assert said in " ".join(capsys.readouterr().out.split())
    evaluate(wrong, *where, uncalibrated=sharp)
    assert "made it worse" not in (tmp_path / "out/report.html").read_text()
    assert "made it worse" not in capsys.readouterr().out
    assert json.loads((tmp_path / "out/metrics.json").read_text())["uncalibrated"]["nll"] == after["nll"]["value"]
