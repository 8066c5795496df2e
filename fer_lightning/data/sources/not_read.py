"""Files that hold a data set and are not read, and what to do about them."""

import os

_SHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar")


def advice(path: str | os.PathLike[str]) -> str:
    """What to do with a spreadsheet or an archive, by its ending, in a sentence or two; empty for anything else."""
    name = os.fspath(path)
    if name.lower().endswith(_SHEETS) and os.path.isfile(name):
        return f"'{name}' is a spreadsheet, which is not read. Export it as CSV, and give that file."
    if name.lower().endswith(_ARCHIVES) and os.path.isfile(name):
        return f"'{name}' is an archive, which is not read. Unpack it, and give the folder."
    return ""
