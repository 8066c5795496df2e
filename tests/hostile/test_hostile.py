"""Every case ends well: an answer or one message; no file is lost, none is anywhere else, nobody is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.boxes import ending, make_template
from tests.hostile.cases import all_cases

CASES = all_cases()
FEW = set(sorted(CASES)[:: len(CASES) // 12])
"""What the default run takes of them; `python -m tests.hostile` takes all."""

MORE = set(sorted(CASES)[:: len(CASES) // 300]) - FEW
"""What CI takes as well."""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every case gets a copy of."""
    return make_template(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("name", [*sorted(FEW), *(pytest.param(name, marks=pytest.mark.slow) for name in sorted(MORE))])
def test_it_ends_well(name: str, template: Path, tmp_path: Path):
    complaints = ending(CASES[name], template, tmp_path / "case" / "box")
    assert not complaints, "\n".join(complaints)
