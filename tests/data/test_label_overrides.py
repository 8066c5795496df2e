"""Lists of images to leave out or to label otherwise, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_lightning import FERError
from fer_lightning.data.label_overrides import override_labels
from fer_lightning.data.splits import TESTING, TRAINING, make_split
from tests.data.test_splits import legend_of


@pytest.fixture
def split():
    return make_split(legend_of([f"{number}.jpg" for number in range(40)], [0, 1] * 20), "stratified")


def listed(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(("image,label,suggested,issue_score", *rows)))
    return path


def test_only_images_outside_the_test_change(split, tmp_path):
    names = split.legend.class_names
    trained, tested = (split.legend.images[int((split.subsets == subset).argmax())] for subset in (TRAINING, TESTING))
    left_out = override_labels(split, listed(tmp_path / "out.csv", f"{trained},,,1", f"{tested},,,1"))
    assert set(split.legend.images) - set(left_out.legend.images) == {trained}
    assert left_out.warnings[0].startswith("1 image is left out and 0 have another label, none of them in the testing")
    other = {image: names[1 - split.legend.labels[split.legend.images.index(image)]] for image in (trained, tested)}
    rows = [f"{image},, {label.upper()} ,1" for image, label in other.items()]
    changed = override_labels(split, relabel=listed(tmp_path / "other.csv", *rows, "none.jpg,,a,1"))
    labels = {image: names[label] for image, label in zip(changed.legend.images, changed.legend.labels, strict=True)}
    assert labels[trained] == other[trained]
    assert labels[tested] != other[tested]
    assert "Of 3 images listed, 1 is not in the data set" in changed.warnings[0]
    with pytest.raises(FERError, match=r"Of 1 image listed for --data.exclude, none is in the data set"):
        override_labels(split, listed(tmp_path / "nowhere.csv", "nowhere.jpg,,,1"))


def test_lists_of_earlier_versions_are_read(split, tmp_path):
    image = split.legend.images[int((split.subsets == TRAINING).argmax())]
    (tmp_path / "list.csv").write_text(f"image,label,suggested,suspicion\n{image},jolly, A ,0.9\n")
    assert image not in override_labels(split, tmp_path / "list.csv").legend.images


def test_what_is_no_list_is_refused(split, tmp_path):
    with pytest.raises(
        FERError, match=r"--data.exclude. Cannot read .*none.csv': No such file or directory. Expected a CSV file"
    ):
        override_labels(split, tmp_path / "none.csv")
    with pytest.raises(FERError, match=r"list.csv:2: unknown label 'fear'; expected one of a, b"):
        override_labels(split, relabel=listed(tmp_path / "list.csv", "1.jpg,a,Fear,1"))
    with pytest.raises(FERError, match=r"list.csv, line 3: expected 4 columns, found 2"):
        override_labels(split, relabel=listed(tmp_path / "list.csv", "1.jpg,a,b,1", "2.jpg,a"))
    (tmp_path / "list.csv").write_text("picture\na.jpg\n")
    with pytest.raises(FERError, match=r"columns image, suggested, as in .* audit.* does not have image, suggested"):
        override_labels(split, relabel=tmp_path / "list.csv")
    (tmp_path / "list.csv").write_bytes(b"image\n\0\n")
    with pytest.raises(FERError, match=r"--data.exclude. Cannot read .*list.csv.* Expected a CSV file"):
        override_labels(split, tmp_path / "list.csv")
