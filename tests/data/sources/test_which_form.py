"""Each published data set is known to be what it is, and nothing else."""

from __future__ import annotations

import pytest

from fer_lightning.data.sources.affectnet import AffectNet
from fer_lightning.data.sources.expw import ExpW
from fer_lightning.data.sources.fer2013 import Fer2013
from fer_lightning.data.sources.file_names import FileNames
from fer_lightning.data.sources.metadata_folder import MetadataFolder
from fer_lightning.data.sources.parquet import Parquet
from fer_lightning.data.sources.raf_db import RafDb
from tests.data.sources import (
    test_affectnet,
    test_expw,
    test_fer2013,
    test_file_names,
    test_metadata_folder,
    test_parquet,
    test_raf_db,
)

FORMS = (Fer2013, RafDb, AffectNet, ExpW, FileNames, Parquet, MetadataFolder)
MAKES = {
    Fer2013: lambda root: test_fer2013.table(root / "fer2013.csv"),
    RafDb: test_raf_db.published,
    AffectNet: test_affectnet.published,
    ExpW: test_expw.published,
    FileNames: lambda root: test_file_names.images(root, "AF01/AF01ANS.JPG", "AF01/AF01HAS.JPG"),
    Parquet: lambda root: test_parquet.write(
        root / "data" / "train-0.parquet", {"image": test_parquet.images(1), "label": ["sad"]}
    ),
    MetadataFolder: lambda root: test_metadata_folder.write(
        root / "train" / "metadata.parquet", test_metadata_folder.ROWS
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_only_its_own_form_fits(tmp_path, form):
    MAKES[form](tmp_path / "set")
    assert [one for one in FORMS if one.fits(tmp_path / "set")] == [form]


@pytest.mark.parametrize("form", FORMS)
def test_what_fits_nothing(tmp_path, form):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "link").symlink_to("link")
    for name in ("empty", "bytes", "link", "none", "bytes/inner", "n" * 300):
        assert not form.fits(tmp_path / name)
