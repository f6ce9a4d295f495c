"""Folders and files of the user's that stand for what is wanted (`--have`): looked at before they are taken."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from pathlib import Path
from typing import Final

from curation_plugins.errors import AssetsInvalid, ConfigInvalid, DownloadDamaged
from curation_plugins.hub.listing import url_name
from curation_plugins.hub.wanted import UrlSource, Want

IMAGES: Final = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Endings of files that are taken for images."""


def require_images(want: Want, folder: Path) -> None:
    """One image is enough: rows whose image is missing are named when the pool is made.

    Raises:
        ConfigInvalid: there is none, neither in the folder itself nor below one of those that may hold the images.
    """
    if not want.inside or any(map(_is_image, folder.iterdir())):
        return
    if any(_is_image(path) for place in want.inside for path in (folder / place).rglob("*")):
        return
    places = " or ".join(place for place in want.inside if place != ".")
    raise ConfigInvalid(
        f"--have {want.name}={folder}: there is no image in it{f', nor under {places}' if places else ''}",
        hint=f"It is {want.what}. Name the folder into which the archive was unpacked.",
    )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGES


def require_weights(content: Path, files: frozenset[str], name: str) -> None:
    """A folder of the user's, or a repository with its weights in another format, may lack them.

    Args:
        files: those of the folder that are wanted.
        name: the model's, for `--have`.

    Raises:
        AssetsInvalid: naming the first file that is missing.
    """
    needed = ["config.json"]
    if "model.safetensors.index.json" in files:
        needed += _parts(content / "model.safetensors.index.json")
    else:
        needed.append("model.safetensors")
    missing = [file for file in needed if file not in files]
    if missing:
        raise AssetsInvalid(
            f"the base model has no {missing[0]} in {content}",
            hint="Weights are read from safetensors files only; fetch the model, or name a whole folder with"
            f" --have {name}=PATH.",
        )


def _parts(index: Path) -> list[str]:
    """The files that the weights are cut into.

    Raises:
        AssetsInvalid: the index does not say.
    """
    try:
        return sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:  # whatever stands in it
        raise AssetsInvalid(f"{index} does not list the model's files ({error})", hint="Fetch the model.") from None


def wanted_files(want: Want, path: Path) -> list[str]:
    """Which of the user's files are wanted.

    Raises:
        ConfigInvalid: none of them.
    """
    if path.is_file():
        return [path.name]
    source = want.source
    patterns = [url_name(source.url)] if isinstance(source, UrlSource) else source.files or ("*",)
    there = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    found = [name for name in there if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    if not found:
        raise ConfigInvalid(f"--have {want.name}={path} holds no {' or '.join(patterns)}", hint=f"It is {want.what}.")
    return found


def sha256_of(want: Want, path: Path, name: str) -> str:
    """Hash of a file of the user's, held against the published one where there is one.

    Raises:
        DownloadDamaged: it is another one.
    """
    source = want.source
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found, wanted = sha256, source.sha256 if isinstance(source, UrlSource) else source.sha256.get(name)
    if wanted is None and isinstance(source, UrlSource) and source.md5:
        with path.open("rb") as file:
            found, wanted = hashlib.file_digest(file, "md5").hexdigest(), source.md5
    if wanted is not None and found != wanted:
        raise DownloadDamaged(
            f"{path} is not {want.what}: its hash is {found} instead of {wanted}",
            hint="Take the file that the publisher names, or let `harness fetch` bring it.",
        )
    return sha256
