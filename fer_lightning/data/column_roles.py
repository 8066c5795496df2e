"""What the columns of a table are called, and what they mean."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from fer_lightning.errors import FERError
from fer_lightning.names import printable

Role = Literal["image", "label", "split", "identity", "user"]
"""Which image; what it shows; the part of the split it is in; who is in it; who labelled it."""

ROLES: tuple[Role, ...] = get_args(Role)
_NAMES: Mapping[Role, str] = {
    "image": "image images img imagename imagepath imagefile imgname imgpath path paths filepath file filename pth "
    "subdirectoryfilepath",
    "label": "emotion emotions emotionlabel label labels labelname expression class classname category target",
    "split": "split usage subset set partition",
    "identity": "identity subject subjectid person personid actor participant participantid",
    "user": "userid user annotator annotatorid rater raterid",
}
_ROLE_OF: Mapping[str, Role] = {name: role for role, names in _NAMES.items() for name in names.split()}
_OWN = {"split": "split", "identity": "identity", "user": "user.id"}
_SHOWN = 20
_MOST = 2000
_EXAMPLE = "  image,emotion\n  photos/ann_1.jpg,happiness\n  photos/ben_1.jpg,neutral"


def role_of(heading: str) -> Role | None:
    """What a column with this heading usually means; None if that is not known."""
    return _ROLE_OF.get(re.sub(r"[\W_]", "", heading.lower()))


def places_of_roles(headings: Sequence[str], chosen: Mapping[str, str] | None, place: str) -> dict[Role, int]:
    """The number of the column that has each role; `image` and `label` are always there.

    Args:
        headings: The headings, without surrounding space.
        chosen: Roles and headings that the user has named, which come first.
        place: File and line, for messages.

    Raises:
        FERError: If a column is missing, chosen wrongly, or two may have one role.
    """
    if len(headings) > _MOST:
        raise FERError(f"{place}: {len(headings):,} columns: {listed(headings)}. Expected at most {_MOST:,}.")
    found: dict[Role, list[int]] = {role: [] for role in ROLES}
    lowered = [heading.lower() for heading in headings]
    for role, heading in (chosen or {}).items():
        if not heading and role not in ("image", "label"):
            continue  # nothing is to have that role
        if role not in ROLES:
            raise FERError(
                f"Invalid value for --data.columns. Expected some of {', '.join(ROLES)}, each with the heading of a "
                f"column. Received: '{printable(str(role)[:80])}'."
            )
        same = [number for number, known in enumerate(lowered) if known == str(heading).strip().lower()]
        if len(same) != 1:
            raise FERError(
                f"Invalid value for --data.columns. Expected the heading of one column of '{place}' for {role}: "
                f"{listed(headings)}. Received: '{printable(str(heading)[:80])}'."
            )
        found[role] = same
    taken = {places[0] for places in found.values() if places}
    for number, heading in enumerate(headings):
        role_here = role_of(heading)
        if role_here and number not in taken and role_here not in (chosen or {}):
            found[role_here].append(number)
    if missing := [role for role in ("image", "label") if not found[role]]:
        known = {number for places in found.values() for number in places}
        free = [heading for number, heading in enumerate(headings) if number not in known]
        raise FERError(
            f"{place}: no column is known to be the {' or the '.join(missing)}. Found: {listed(headings)}. Expected a "
            f"table such as\n{_EXAMPLE}\nor the headings to be named: "
            f"--data.columns '{{{missing[0]}: {printable(free[0][:40]) if free else 'HEADING'}}}'."
        )
    for role, places in found.items():
        if len(places) > 1:
            if role not in ("image", "label") and (exact := [at for at in places if lowered[at] == _OWN[role]]):
                found[role] = exact  # our own name for it; others are columns like any
                continue
            names = [headings[number] for number in places]
            if len(set(names)) < len(names):
                raise FERError(f"{place}: column {listed(names[:1])} stands twice.")
            raise FERError(
                f"{place}: several columns may be the {role}: {listed(names)}. Choose one: --data.columns "
                f"'{{{role}: {printable(names[0][:40])}}}'."
            )
    return {role: places[0] for role, places in found.items() if places}


def listed(names: Sequence[str]) -> str:
    """The names, in a message that can be read whatever was found."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return printable(", ".join(name[:80] for name in names[:_SHOWN])) + more
