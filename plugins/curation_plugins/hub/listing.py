"""From a source to the files behind it: address, size and hash of each, before the first byte is fetched."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx

from curation_plugins.errors import DownloadFailed
from curation_plugins.hub.wanted import HubSource, Source, UrlSource


@dataclass(frozen=True)
class RemoteFile:
    """One file, and what is known of it."""

    url: str
    path: str
    """Below the folder it goes into."""
    size: int | None = None
    """Bytes."""
    sha256: str | None = None
    git_sha1: str | None = None
    """Hash of `blob <size>\\0` and the content: how git, and so the hub, names small files."""
    md5: str | None = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """Sent with the request; may hold a token, hence not printed."""


@dataclass(frozen=True)
class Listing:
    """All files of a source."""

    files: tuple[RemoteFile, ...]
    revision: str | None = None
    """Commit of the repository."""

    @property
    def size(self) -> int | None:
        """Bytes altogether; none if the server does not tell."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def list_files(source: Source, client: httpx.Client) -> Listing:
    """Asks the server what there is.

    Raises:
        DownloadFailed: unreachable, refused, or nothing like that there.
    """
    return _of_url(source, client) if isinstance(source, UrlSource) else _of_hub(source)


def url_name(url: str) -> str:
    """The file's name in an address."""
    return PurePosixPath(unquote(urlsplit(url).path)).name or "file"


def _of_url(source: UrlSource, client: httpx.Client) -> Listing:
    size = _size(source.url, client)
    return Listing((RemoteFile(source.url, url_name(source.url), size, source.sha256, None, source.md5),))


def _size(url: str, client: httpx.Client) -> int | None:
    """Content-Length by HEAD; none where the server does not tell: the download itself says what is wrong."""
    try:
        reply = client.head(url)
    except httpx.HTTPError:
        return None
    length = reply.headers.get("content-length", "")
    return int(length) if reply.is_success and length.isdigit() and int(length) > 0 else None


def _of_hub(source: HubSource) -> Listing:
    """By the hub's own client, which knows tokens, moved repositories and what each refusal means."""
    try:
        from huggingface_hub import HfApi, get_token, hf_hub_url
        from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled
    except ImportError:
        raise DownloadFailed(
            "the hub's client (huggingface_hub) is not installed",
            hint="It comes with the training packages: pip install 'curation-harness[train]'.",
        ) from None
    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        hub = HfApi(endpoint=endpoint)
        ask = hub.model_info if source.type == "model" else hub.dataset_info
        info = ask(source.repo, revision=source.revision, files_metadata=True, timeout=60)
    except GatedRepoError:
        raise DownloadFailed(
            f"the hub gives {source.repo} only to those who accepted its terms",
            hint="Accept them on the repository's page, then set HF_TOKEN (or run `hf auth login`).",
        ) from None
    except OfflineModeIsEnabled:
        raise DownloadFailed("HF_HUB_OFFLINE is set", hint="Unset it for this command.") from None
    except Exception as error:  # its errors, and those of its HTTP library, which changed from release to release
        said = str(error).strip().splitlines()
        raise DownloadFailed(
            f"the hub does not list {source.repo} at {source.revision}: {said[0] if said else type(error).__name__}",
            hint="Is the network up, the name right, the repository public or HF_TOKEN set?",
        ) from None
    token = get_token()
    files = tuple(
        RemoteFile(
            url=hf_hub_url(source.repo, one.rfilename, repo_type=source.type, revision=info.sha, endpoint=endpoint),
            path=one.rfilename,
            size=one.lfs.size if one.lfs else one.size,
            sha256=source.sha256.get(one.rfilename) or (one.lfs.sha256 if one.lfs else None),
            git_sha1=None if one.lfs else one.blob_id,
            headers={"authorization": f"Bearer {token}"} if token else {},
        )
        for one in info.siblings or ()
        if not source.files or any(fnmatch.fnmatch(one.rfilename, pattern) for pattern in source.files)
    )
    _check_names(source, files)
    return Listing(files, info.sha)


def _check_names(source: HubSource, files: tuple[RemoteFile, ...]) -> None:
    known = {file.path for file in files}
    lacking = [name for name in source.sha256 if name not in known]
    if lacking or not files:
        raise DownloadFailed(
            f"{source.repo} at {source.revision} has no file {', '.join(lacking or source.files)}",
            hint="The repository was changed since the task was written; name another revision.",
        )
    for file in files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts:
            raise DownloadFailed(f"{source.repo} lists a file that would land elsewhere: {file.path!r}")
