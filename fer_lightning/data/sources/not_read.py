"""Files that hold a data set and are not read, and what to do about them."""

import os

from fer_lightning.data.image_files import IMAGE_SUFFIXES

_SHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar")


def advice(path: str | os.PathLike[str]) -> str:
    """What to do with a spreadsheet, an archive or an image, by its ending, in a sentence; empty for anything else."""
    name = os.fspath(path)
    if name.lower().endswith(_SHEETS) and os.path.isfile(name):
        return f"'{name}' is a spreadsheet, which is not read. Export it as CSV, and give that file."
    if name.lower().endswith(_ARCHIVES) and os.path.isfile(name):
        return f"'{name}' is an archive, which is not read. Unpack it, and give the folder."
    if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and os.path.isfile(name):
        return f"'{name}' is one image. Expected the folder or table of a data set; `predict` takes images."
    return ""
