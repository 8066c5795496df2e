"""Lists of images to leave out or to label otherwise, by hand."""

from __future__ import annotations

import pytest

from fer_lightning import FERError
from fer_lightning.data.label_overrides import override_labels, read_exclude, read_relabel
from fer_lightning.data.splits import TESTING, TRAINING, make_split
from tests.data.test_splits import legend_of


@pytest.fixture
def split():
    return make_split(legend_of([f"{number}.jpg" for number in range(40)], [0, 1] * 20), "stratified")


def test_only_images_outside_the_test_change(split):
    names = split.legend.class_names
    trained, tested = (split.legend.images[int((split.subsets == subset).argmax())] for subset in (TRAINING, TESTING))
    left_out = override_labels(split, exclude=[trained, tested])
    assert set(split.legend.images) - set(left_out.legend.images) == {trained}
    assert left_out.warnings[0].startswith(
        "1 images are left out and 0 have another label, none of them in the testing"
    )
    other = {image: names[1 - split.legend.labels[split.legend.images.index(image)]] for image in (trained, tested)}
    changed = override_labels(split, relabel=other).legend
    labels = {image: names[label] for image, label in zip(changed.images, changed.labels, strict=True)}
    assert labels[trained] == other[trained]
    assert labels[tested] != other[tested]
    with pytest.raises(FERError, match=r"None of the 1 images listed for --data.exclude is in the data set"):
        override_labels(split, exclude=["nowhere.jpg"])


@pytest.mark.parametrize("score", ["issue_score", "suspicion"])
def test_lists_of_this_and_earlier_versions_are_read(score, tmp_path):
    (tmp_path / "list.csv").write_text(f"image,label,suggested,{score}\na.jpg,joy, Fear ,0.9\n")
    assert read_exclude(tmp_path / "list.csv") == {"a.jpg"}
    assert read_relabel(tmp_path / "list.csv", ["joy", "fear"]) == {"a.jpg": "fear"}
    with pytest.raises(FERError, match=r"list.csv:2: unknown label 'fear'; expected one of joy"):
        read_relabel(tmp_path / "list.csv", ["joy"])


def test_what_is_no_list_is_refused(tmp_path):
    with pytest.raises(FERError, match=r"--data.exclude. Expected a CSV file, found nothing"):
        read_exclude(tmp_path / "none.csv")
    (tmp_path / "list.csv").write_text("picture\na.jpg\n")
    with pytest.raises(FERError, match=r"list.csv:1: missing column image, suggested.*label_issues.csv of `audit`"):
        read_relabel(tmp_path / "list.csv", ["joy"])
    (tmp_path / "list.csv").write_bytes(b"image\n\xff\xfe\n")
    with pytest.raises(FERError, match="expected CSV in UTF-8"):
        read_exclude(tmp_path / "list.csv")
