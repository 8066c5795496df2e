"""Names from outside are checked, or made safe."""

import pytest

from fer_lightning.errors import FERError
from fer_lightning.names import check_name, file_name, printable


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "a/b", "a\\b", "../../out", "a\nb", "a\x00b", "a\x1b[2J", " a", "a" * 101, "\udcff"]
)
def test_a_name_that_no_folder_should_have_is_refused(name: str):
    with pytest.raises(FERError, match="Invalid value for --name") as refused:
        check_name(name, "--name")
    assert str(refused.value).isprintable()


def test_other_names_stay():
    for name in ["anger", "$x^$", "=1+1", "größe", "a b", "<b>", "..a", "-x"]:
        assert check_name(name, "--name") == name


def test_every_path_has_a_file_name_of_its_own():
    paths = ["a.jpg", "../a.jpg", "/a.jpg", "./a.jpg", ".a.jpg", "a/b.jpg", "a__b.jpg", "a\\b.jpg", "/a/b.jpg"]
    paths += ["x" * 300, "x" * 301, "a\nb.jpg", "a?b.jpg", "a*b.jpg", "\udcff.jpg", "\udcfe.jpg", "ü" * 99, "ü" * 98]
    names = [file_name(path) for path in paths]
    assert len(set(names)) == len(paths)
    assert all(0 < len(name.encode()) <= 100 and "/" not in name and name.isprintable() for name in names)
    assert names[0] == "a.jpg"
    assert names[5] == "a__b.jpg"


def test_a_terminal_gets_no_control_characters():
    assert printable("a\x1b[31mb\u202ec\udcff\x07 ü") == "a\\x1b[31mb\\u202ec\\udcff\\x07 ü"
