"""What cannot be read says what to do."""

from __future__ import annotations

import pytest

from fer_lightning.data.sources.not_read import advice


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("faces.xlsx", "'faces.xlsx' is a spreadsheet, which is not read. Export it as CSV, and give that file."),
        ("faces.ods", "'faces.ods' is a spreadsheet, which is not read. Export it as CSV, and give that file."),
        ("Faces.ZIP", "'Faces.ZIP' is an archive, which is not read. Unpack it, and give the folder."),
        ("faces.tar.gz", "'faces.tar.gz' is an archive, which is not read. Unpack it, and give the folder."),
        ("faces.csv", ""),
    ],
)
def test_what_to_do(workdir, name, said):
    assert advice(name) == ""  # it is not there
    (workdir / name).write_bytes(b"PK")
    assert advice(name) == said


def test_a_folder_may_be_called_so(workdir):
    (workdir / "faces.zip").mkdir()
    assert advice("faces.zip") == ""
