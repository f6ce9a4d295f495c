"""Documentation that can be generated is current, and the rest leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from curation_harness import docs
from curation_harness.cli import COMMANDS
from curation_harness.record.events import KINDS
from curation_harness.record.models import RunStatus
from curation_sandbox import __version__

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED: Final = re.compile(r"`((?:docs|tests|tasks|images|sandbox|plugins|harness)/[\w./-]+)`")


@pytest.mark.parametrize("path", docs.generated())
def test_a_generated_page_is_current(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text == docs.generated()[path], f"{path} is out of date: run `make docs`"


def test_generating_twice_gives_the_same() -> None:
    """No address, time or folder of this machine in it."""
    assert docs.generated() == docs.generated()
    for text in docs.generated().values():
        assert " at 0x" not in text
        assert str(ROOT) not in text
        assert str(Path.home()) + "/" not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_reference(command: str) -> None:
    assert f"## harness {command}\n" in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def commands_in(text: str) -> Iterator[str]:
    """First words after ``harness`` in code: blocks, and what stands between backticks."""
    code = re.findall(r"```.*?```|`[^`\n]+`|^    .+$", text, re.DOTALL | re.MULTILINE)
    for piece in code:
        yield from re.findall(r"(?:^|[`\n(])\s*(?:\$ )?harness ([a-z]+)", piece)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_a_page_tells_to_run_exist(page: Path) -> None:
    unknown = set(commands_in(page.read_text(encoding="utf-8"))) - set(COMMANDS)
    assert unknown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_to_files_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    local = [target.split("#")[0] for target in LINK.findall(text) if "://" not in target]
    missing = [target for target in local if target and not (page.parent / target).exists()]
    missing += [name for name in NAMED.findall(text) if "<" not in name and not (ROOT / name).exists()]
    assert missing == []


def test_the_readme_begins_with_two_commands_and_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in ("make demo", "make test"):
        assert target in text
        assert re.search(rf"^{target.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in text, f"README does not lead to {page.name}"


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[?{re.escape(__version__)}\]?", text, re.MULTILINE)


def test_every_kind_of_event_and_every_status_is_explained() -> None:
    log = (ROOT / "docs" / "record-format.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"`{kind}`" in log
    record = (ROOT / "docs" / "record.md").read_text(encoding="utf-8")
    for status in RunStatus.__args__:
        assert f"`{status}`" in record


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_test_that_a_page_names_exists(page: Path) -> None:
    """``docs/isolation.md`` names the test that shows each promise."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    text = page.read_text(encoding="utf-8")
    for file in re.findall(r"\b(test_\w+\.py)\b", text):
        assert file in sources
    for name in re.findall(r"`(test_\w+)`", text):
        assert any(f"def {name}(" in source for source in sources.values()), name
