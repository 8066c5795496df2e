"""`python -m tests.hostile [words]`: all cases, or those whose names have all of the words, and what ended badly."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.hostile.boxes import ending, make_template
from tests.hostile.cases import all_cases


def main(words: list[str]) -> int:
    """Run them one after the other; how many ended badly."""
    chosen = {name: case for name, case in all_cases().items() if all(word in name for word in words)}
    kinds: Counter[str] = Counter()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        template = make_template(Path(folder))
        for number, (name, case) in enumerate(chosen.items(), 1):
            began = time.monotonic()
            box = Path(folder, "case", "box")
            shutil.rmtree(box.parent, ignore_errors=True)
            box.parent.mkdir()
            if complaints := ending(case, template, box):
                bad += 1
                kinds.update(complaint.partition(":")[0] for complaint in complaints[:-1])
                shown = " | ".join(complaints[:-1])[:300]
                print(
                    f"{name}  [{' '.join(case.line)[:150]!r}]\n    {shown}\n    {complaints[-1][-400:]!r}", flush=True
                )
            if number % 50 == 0:
                print(f"-- {number} of {len(chosen)}, {bad} badly", file=sys.stderr, flush=True)
            if time.monotonic() - began > 10:
                print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"{len(chosen):,} cases: {bad} ended badly", dict(kinds.most_common()))
    return bad


if __name__ == "__main__":
    raise SystemExit(bool(main(sys.argv[1:])))
