"""Who is in an image, by its name."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence

from fer_lightning.data.label_words import EXPRESSION_WORDS
from fer_lightning.errors import FERError
from fer_lightning.names import many, printable

IDENTITY_PATTERN = r"^(?:.*/)?(.+)_\d+\.[^.]+$"
"""Takes `George_W_Bush` from `any/folder/George_W_Bush_0012.jpg`; names without a match are their own identity."""

_KNOWN = {r"^(?:.*/)?(S\d{3})_\d{3}_\d{8}\b": "CK+"}
"""Names of published data sets in which people stand elsewhere, for nearly all images at once."""

_GENERIC = (
    "images? img dscn? dscf pic picture photo frame faces? train training test testing val valid validation public "
    "private publictest privatetest fer ferplus affectnet raf sample pxl mvi screenshot crop cropped aligned"
).replace(" ", "|")
_ENDS = r"(?<![^\W_]){}(?![^\W_])"
_EXPRESSION = re.compile(_ENDS.format(rf"(?:{'|'.join(EXPRESSION_WORDS)})"), re.IGNORECASE)
_NOBODY = re.compile(rf"(?:(?:{_GENERIC})?\d*(?:[\W_]|$))*", re.IGNORECASE)
"""Words in file names that name no person, as those for expressions do not, with numbers and signs."""

_HANDFUL, _EACH = 10, 20
"""No more people than this, with more images each than that, are rather kinds of files than people."""

_SECONDS = 10
_ALONE = """
import json, re, sys
seconds, pattern, names = json.load(sys.stdin)
try:
    import resource, signal
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
except ImportError:
    pass
try:
    match = re.compile(pattern).match
    found = ((match(name), name) for name in names)
    answer = [m.group(1 if m.re.groups else 0) or name if m else name for m, name in found]
except (re.error, ArithmeticError, MemoryError, RecursionError) as error:
    answer = str(error) or type(error).__name__
json.dump(answer, sys.stdout)
"""


def told_apart(images: Sequence[str], pattern: str = IDENTITY_PATTERN) -> tuple[list[str], str]:
    """Who is in each image by its name, as far as names can be trusted; and what was not, in one sentence.

    With a pattern of one's own it is `identities_of`. Without one, a word for an expression in the name is no part of
    the person's, and what names no person (`Training_123`, `img_0001`, `anger_0001`), or hardly any, is left: then each
    image counts as a person of its own.
    """
    if pattern != IDENTITY_PATTERN:
        return identities_of(images, pattern), ""
    for known, name in _KNOWN.items():
        match = re.compile(known).match
        found = [m.group(1) if (m := match(image)) else image for image in images]
        if sum(who != image for who, image in zip(found, images, strict=True)) > 0.9 * len(images):
            return found, f"People are told apart as the names in {name} do."
    stems = identities_of(images)
    images_of = Counter(stems)
    told = {stem for stem in images_of if _EXPRESSION.search(stem)}
    if sum(images_of[stem] for stem in told) <= 0.5 * len(images):  # Joy is a name then
        told = {stem for stem in told if _EXPRESSION.fullmatch(stem)}
    person = {stem: stem for stem in images_of}
    person |= {stem: re.sub(r"^[\W_]+|[\W_]+$", "", _EXPRESSION.sub("", stem)) for stem in told}
    person |= {stem: "" for stem, name in person.items() if _NOBODY.fullmatch(name)}
    who = [image if stem is image else person[stem] for stem, image in zip(stems, images, strict=True)]
    people = Counter(name for name, image in zip(who, images, strict=True) if name and name is not image)
    generic = sum(not name for name in who)
    repeated = sum(people.values())
    few = 0 < len(people) <= _HANDFUL and repeated > max(0.5 * len(images), _EACH * len(people))
    if few:
        said = f"'{printable(people.most_common(1)[0][0])}' would be {people.most_common(1)[0][1]:,} images"
    elif generic:
        example = next(image for name, image in zip(who, images, strict=True) if not name)
        said = f"such as '{printable(example)}'"
    else:
        return who, ""
    kept = [image if few or not name else name for name, image in zip(who, images, strict=True)]
    whole = few or generic == len(images)
    alone = many(generic, "image counts as a person of its own", "images count as people of their own")
    count = "every image counts as a person of its own" if whole else alone
    return kept, (
        f"File names do not tell people apart ({said}): {count}. If names do tell, set --data.identity to a pattern "
        "that fits them."
    )


def identities_of(images: Sequence[str], pattern: str = IDENTITY_PATTERN) -> list[str]:
    """The first group of a pattern in each image name, or all that matches; the name itself without a match.

    A pattern of one's own is tried in a process of its own, as some, such as `(a+)+$`, take years, and Python's `re`
    cannot be told to stop.

    Args:
        images: Image names.
        pattern: Regular expression, matched at the start of a name.

    Raises:
        FERError: If it is no regular expression, or takes more than 10 seconds and 1 for each 10,000 names.
    """
    if pattern == IDENTITY_PATTERN:
        match = re.compile(pattern).match
        return [m.group(1) if (m := match(name)) else name for name in images]
    seconds = _SECONDS + len(images) // 10_000
    given = json.dumps([seconds, pattern, list(images)])
    command = [sys.executable, "-I", "-S", "-W", "ignore", "-c", _ALONE]
    start = f"Invalid value for --data.identity. Expected a regular expression. Received: '{printable(pattern[:200])}'"
    try:
        done = subprocess.run(  # noqa: S603 (our own program)
            command, input=given, capture_output=True, encoding="ascii", timeout=seconds + 5, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        raise FERError(
            f"{start}, which takes more than {seconds} seconds. Avoid a repetition within a repetition, as in (a+)+."
        ) from None
    found: list[str] | str = json.loads(done.stdout)
    if isinstance(found, str):
        raise FERError(f"{start} ({found}).")
    return found
