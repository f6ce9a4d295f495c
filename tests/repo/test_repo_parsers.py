"""Readers of hostile bytes: each is in the documentation with its bound and its tests, and none unpickles."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("sandbox/curation_sandbox", "plugins/curation_plugins", "harness/curation_harness")
DOCUMENT: Final = ROOT / "docs" / "parsers.md"

PARSE: Final = re.compile(
    r"(^|\.)(json\.(loads?|JSONDecoder)|raw_decode|yaml\.(safe_load|load|parse|compose)(_all)?|tomllib\.loads?"
    r"|numpy\.(load|fromfile|fromregex|loadtxt|genfromtxt|memmap)|open_memmap|numpy\.lib\.format\.read_\w+"
    r"|struct\.(iter_)?unpack\w*|torch\.load|safetensors\.safe_open|(zlib|gzip|bz2|lzma)\.(decompress\w*|open)"
    r"|zstandard\.ZstdDecompressor|tarfile\.(open|TarFile)|zipfile\.(ZipFile|Path)|sqlite3\.connect"
    r"|parquet\.(read_\w+|Parquet(File|Dataset))|pyarrow\.(ipc|dataset|feather|orc|csv|json)\.\w+|PIL\.Image\.open"
    r"|ast\.parse|pydantic_core\.from_json|model_validate_json|validate_json|csv\.(reader|DictReader)|ElementTree\.\w+)$"
)
"""Calls that make something of bytes."""
UNPICKLE: Final = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
ONLY_AN_ERROR: Final = {"pickle.UnpicklingError"}
"""What torch raises over a damaged file."""
YAML_CONSTRUCTS: Final = re.compile(
    r"^yaml\.(unsafe_\w+|full_\w+|Unsafe\w+|Full\w+|Loader|CLoader|YAMLObject|add_\w+)$"
)
RUNS_CODE: Final = {"eval", "exec", "compile", "__import__"}
RUNS_A_POLICY: Final = "sandbox/curation_sandbox/incontainer/trace.py"
"""In a container of its own."""


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Every module of the packages, by path."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


@functools.cache
def aliases(tree: ast.Module) -> dict[str, str]:
    """Name in a module → what it was imported as, dotted."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
    return found


def dotted(tree: ast.Module, node: ast.expr) -> str:
    """An expression with the name that it begins with in full."""
    head, dot, rest = ast.unparse(node).partition(".")
    return aliases(tree).get(head, head) + dot + rest


def named(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Dotted names that are used, in full, with their lines; a name that is imported from a module counts as used."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.lineno, dotted(tree, node)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize(
    ("code", "parses"),
    [
        ("from json import dumps, loads\nimport numpy as np\nnp.load(1)", {"json.loads", "numpy.load"}),
        ("import pyarrow.parquet as pq\npq.read_table(1)\npq.write_table(2)", {"pyarrow.parquet.read_table"}),
        ("from pyarrow import parquet\nparquet.ParquetFile(1)", {"pyarrow.parquet.ParquetFile"}),
        ("import pyarrow as pa\npa.ipc.open_file(1)\npa.table(2)", {"pyarrow.ipc.open_file"}),
        ("import pyarrow.dataset as ds\nds.dataset(1)", {"pyarrow.dataset.dataset"}),
        ("from json import JSONDecoder as D\nD().decode(1)", {"json.JSONDecoder"}),
        ("import numpy\nnumpy.memmap(1)\nnumpy.zeros(2)", {"numpy.memmap"}),
        ("import numpy as n\nn.loadtxt(1), n.genfromtxt(2)", {"numpy.loadtxt", "numpy.genfromtxt"}),
        ("from numpy.lib import format as f\nf.open_memmap(1)", {"numpy.lib.format.open_memmap"}),
        ("def f():\n from PIL import Image as I\n I.open(1)\n I.new(2)", {"PIL.Image.open"}),
        ("import tarfile as t, zipfile\nt.TarFile(1)\nzipfile.Path(2)", {"tarfile.TarFile", "zipfile.Path"}),
        ("import sqlite3\nsqlite3.connect(1)", {"sqlite3.connect"}),
    ],
)
def test_a_name_that_is_imported_counts(code: str, parses: set[str]) -> None:
    assert {name for _, name in named(ast.parse(code)) if PARSE.search(name)} == parses


@functools.cache
def parsing() -> dict[str, set[str]]:
    """Module → the calls in it that parse."""
    found = {
        module_of(path): {name for _, name in named(tree) if PARSE.search(name)} for path, tree in trees().items()
    }
    return {module: calls for module, calls in found.items() if calls}


def module_of(path: str) -> str:
    return path.partition("/")[2].removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading of the document."""
    section = DOCUMENT.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


HOSTILE: Final = [row for heading in ("What a container can send", "What lies in a record") for row in rows(heading)]
OURS: Final = rows("What is ours, or fetched and checked")


def readers() -> list[str]:
    return [row[0].strip("`") for row in HOSTILE]


def patterns() -> list[str]:
    return [pattern for row in OURS for pattern in re.findall(r"`([^`]+)`", row[0])]


def test_every_module_that_parses_is_in_one_table() -> None:
    hostile = {reader.partition(":")[0] for reader in readers()}
    for module, calls in parsing().items():
        as_ours = [pattern for pattern in patterns() if fnmatchcase(module, pattern)]
        told = f"{module} calls {sorted(calls)}: docs/parsers.md says whose bytes those are"
        assert (module in hostile) or as_ours, told
        assert not (module in hostile and as_ours), f"{module} is in both tables of docs/parsers.md"


def test_no_row_is_about_nothing() -> None:
    assert len(HOSTILE) > 15
    assert len(readers()) == len(set(readers()))
    for pattern in patterns():
        assert any(fnmatchcase(module, pattern) for module in parsing()), f"`{pattern}` matches no module that parses"


@pytest.mark.parametrize("reader", readers())
def test_the_reader_of_a_row_exists(reader: str) -> None:
    module, _, name = reader.partition(":")
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)


@functools.cache
def defined_tests() -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return set(re.findall(r"^ *(?:async )?def (test_\w+)", text, re.MULTILINE))


@pytest.mark.parametrize("row", HOSTILE, ids=readers())
def test_the_bound_and_the_tests_of_a_row_exist(row: list[str]) -> None:
    _, _, bound, said = row
    assert bound
    wanted = re.findall(r"`(test_\w+)`", said)
    assert wanted
    assert set(wanted) <= defined_tests()


def test_nothing_unpickles() -> None:
    for path, tree in trees().items():
        imported = [
            (node.lineno, name)
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if name.partition(".")[0] in UNPICKLE
        ]
        used = [name for _, name in named(tree) if name.partition(".")[0] in UNPICKLE]
        assert not imported or set(used) <= ONLY_AN_ERROR, (path, imported, used)
        assert not [name for name in used if name not in ONLY_AN_ERROR], path
        assert not [name for _, name in named(tree) if name.endswith((".read_pickle", ".__reduce__"))], path


def calls(tree: ast.Module) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield dotted(tree, node.func), {keyword.arg or "**": keyword.value for keyword in node.keywords}


def test_readers_that_could_unpickle_are_told_not_to() -> None:
    for path, tree in trees().items():
        for name, options in calls(tree):
            if name == "torch.load":
                assert ast.unparse(options["weights_only"]) == "True", path
            assert ast.unparse(options.get("allow_pickle", ast.Constant(value=False))) == "False", path


def test_yaml_is_read_without_constructors() -> None:
    for path, tree in trees().items():
        strange = [(line, name) for line, name in named(tree) if YAML_CONSTRUCTS.match(name)]
        assert not strange, (path, strange)
        for name, options in calls(tree):
            if name in ("yaml.load", "yaml.parse", "yaml.compose"):
                assert re.fullmatch(r"(yaml\.SafeLoader|_LOADER|_Loader)", ast.unparse(options["Loader"])), path


def test_no_text_is_run_as_code() -> None:
    for path, tree in trees().items():
        run = [
            name for name, options in calls(tree) if name in RUNS_CODE or "shell" in options or name == "os.system"
        ]
        assert not run or path == RUNS_A_POLICY, (path, run)


def test_archives_are_unpacked_member_by_member() -> None:
    """``extractall`` writes where a member says; ours choose the place (see hub/archives.py)."""
    for path, tree in trees().items():
        assert not [name for name, _ in calls(tree) if name.endswith((".extractall", ".unpack_archive"))], path
