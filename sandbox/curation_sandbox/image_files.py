"""The folders under ``images/``: what is in them, what of it decides an image's content, and images' names.

An image is built on ``base`` and named as its folder. ``codex+mine`` is ``codex`` built on the image ``mine``:
another folder, or the tag or id of any image the engine has.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Final

from curation_sandbox.apt_sources import SUITE
from curation_sandbox.errors import ImageMissing

REPOSITORY: Final = "curation-harness"
BASE: Final = "base"
ON: Final = "+"
"""Between an image and what it is built on; in no tag, and in no id."""

_PACKAGE: Final = Path(__file__).resolve().parent
_IN_WHEEL: Final = _PACKAGE / "_data" / "images"
FOLDER: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent.parent / "images"
"""Beside the package in a wheel, else at the top of the checkout."""

_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}")
"""What a tag or an id is made of."""
_STEPS: Final = "steps"
_NOT_INPUTS: Final = (".md", ".in")
"""Endings of files that say how others are made."""


def names() -> tuple[str, ...]:
    """Images that can be built, ``base`` first."""
    found = sorted(path.parent.name for path in FOLDER.glob("*/Dockerfile"))
    return tuple(sorted(found, key=lambda name: (name != BASE, name)))


def parts(name: str) -> tuple[str, str]:
    """The folder an image is built from, and the name of the image it is built on.

    Raises:
        ImageMissing: nothing of that name can be built.
    """
    own, on, start = name.partition(ON)
    known = names()
    if own not in known:
        raise ImageMissing(
            f"images/ has no {own!r}; it has: {', '.join(known)}.",
            hint=f"Only one of those can be built on {start}." if start else None,
        )
    if not on:
        return own, BASE
    if own == BASE or start in ("", BASE, own) or not _REFERENCE.fullmatch(start):
        raise ImageMissing(
            f"There is no image {name!r}.",
            hint=f"AGENT{ON}TASK is the image AGENT built on the image TASK: two others, and no more than two.",
        )
    return own, start


def reference_of(name: str) -> str:
    """What the engine calls an image: our tag if it can be built, else the name itself, a tag or an id.

    Raises:
        ImageMissing: a name with ``+`` of which nothing can be built.
    """
    return tag_of(name) if name in names() or ON in name else name


def tag_of(name: str) -> str:
    """Our tag of an image that can be built.

    Raises:
        ImageMissing: it cannot.
    """
    own, on, _ = name.partition(ON)
    if not on:
        return f"{REPOSITORY}/{name}:latest"
    _, start = parts(name)
    if start not in names():  # somebody's tag: not all of it may stand in one of ours
        readable = re.sub(r"[^a-z0-9.]+", "-", start.lower())[:60]
        start = f"{readable}-{hashlib.sha256(start.encode()).hexdigest()[:12]}"
    return f"{REPOSITORY}/{own}:on-{start}"


def folder_of(name: str) -> Path:
    return FOLDER / name.partition(ON)[0]


def debian_packages() -> list[str]:
    """Names of the Debian packages of ``base``."""
    lines = (folder_of(BASE) / "packages.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def versions(folder: Path) -> dict[str, str]:
    """Versions of what ``requirements.in`` and ``package.json`` name, from the locks beside them."""
    pinned = {**_python_versions(folder), **_node_versions(folder)}
    return {"debian": SUITE, **pinned} if pinned else {}


def inputs_digest(name: str) -> str:
    """sha256 over the names and contents of the files that go into an image: its own, and the shared steps."""
    digest = hashlib.sha256()
    for folder in (folder_of(name), FOLDER / _STEPS):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in _NOT_INPUTS and "__pycache__" not in path.parts:
                content = path.read_bytes()
                digest.update(f"{folder.name}/{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _python_versions(folder: Path) -> dict[str, str]:
    if not (folder / "requirements.in").exists():
        return {}
    text = (folder / "requirements.in").read_text(encoding="utf-8")
    asked = {line.split("=")[0].strip().lower() for line in text.splitlines() if line and line[0] != "#"}
    lock = (folder / "requirements.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, flags=re.MULTILINE)
    return {key: version for key, version in pins if key.lower() in asked}


def _node_versions(folder: Path) -> dict[str, str]:
    """By name without its scope: ``@openai/codex`` is codex."""
    if not (folder / "package-lock.json").exists():
        return {}
    packages = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return {
        name.rpartition("/")[2]: str(packages[f"node_modules/{name}"]["version"])
        for name in packages[""]["dependencies"]
    }
