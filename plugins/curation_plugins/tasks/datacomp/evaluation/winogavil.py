"""Puts WinoGAViL into the layout read here: ``python -m …evaluation.winogavil LIST.csv IMAGES FOLDER``.

No hub copy of it is in that layout. Its authors publish a table with the columns ``cue``, ``candidates`` and
``associations`` (the last two are JSON lists of words) and an image a word (GitHub: WinoGAViL/WinoGAViL-experiments,
``assets/winogavil_dataset.csv``). DataComp reads the hub's ``nlphuji/winogavil``, whose entries have the same fields.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.datacomp.evaluation.sets import look_up
from curation_plugins.tasks.datacomp.tars import IMAGES
from curation_sandbox.errors import CurationError

_HINT = "docs/datacomp-evaluation.md says which files are wanted."


def convert(table: Path, images: Path, folder: Path) -> int:
    """Write the set below ``folder``; how many instances it has.

    Args:
        images: folder with one image a candidate, ``CANDIDATE.jpg`` (or png, webp).

    Raises:
        AssetsInvalid: a line is no instance, or a candidate has no image; nothing was written.
    """
    instances = list(_instances(table))
    files = {path.stem: path for path in sorted(images.iterdir()) if path.suffix.lstrip(".").lower() in IMAGES}
    words = sorted({word for _, candidates, _ in instances for word in candidates})
    gone = [word for word in words if word not in files]
    if gone or not instances:
        what = f"{len(gone)} candidates have no image, the first is {gone[0]!r}" if gone else f"{table} is empty"
        raise AssetsInvalid(f"{images}: {what}", hint=_HINT)
    keys = {word: f"image-{number:05d}" for number, word in enumerate(words)}  # words may hold blanks and dots
    test = folder / look_up("misc/winogavil").folder / "test"
    test.mkdir(parents=True)
    with tarfile.open(test / "0.tar", "w") as archive:
        for word in words:
            _add(archive, f"{keys[word]}{files[word].suffix.lower()}", files[word].read_bytes())
        for number, (cue, candidates, right) in enumerate(instances):
            told = {
                "cue": cue,
                "candidates": [keys[word] for word in candidates],
                "associations": [keys[word] for word in right],
            }
            _add(archive, f"instance-{number:05d}.json", json.dumps(told).encode())
    (test / "nshards.txt").write_text("1\n", encoding="utf-8")
    return len(instances)


def _instances(table: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    with table.open(encoding="utf-8", newline="") as file:
        for number, line in enumerate(csv.DictReader(file), start=2):
            yield _instance(line, f"{table}, entry {number - 1}")


def _instance(line: Mapping[str, str], where: str) -> tuple[str, list[str], list[str]]:
    try:
        cue, candidates, right = line["cue"], json.loads(line["candidates"]), json.loads(line["associations"])
        known = cue and set(right) <= set(candidates) and len(set(candidates)) == len(candidates) and right
        if not known or not all(isinstance(word, str) for word in candidates):
            raise ValueError("a cue, different candidates, and some of these were expected")
    except (KeyError, TypeError, ValueError) as error:
        raise AssetsInvalid(f"{where} is no instance ({error})", hint=_HINT) from None
    return cue, candidates, right


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def main(arguments: list[str]) -> int:
    if len(arguments) != 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    table, images, folder = map(Path, arguments)
    try:
        sys.stdout.write(f"{convert(table, images, folder)} instances in {folder}\n")
    except CurationError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
