"""What the names of calls, columns and files mean to the reader of policies.

The lists are ours, from looking at selection code; a name that is missing is taken for an operation of its own.
Standard library only: the child process imports it.
"""

from __future__ import annotations

import re
from typing import Final


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


HIDDEN: Final = re.compile(
    r"^(builtins\.(exec|eval|compile|__import__|globals|locals|__builtins__|breakpoint)|importlib(\.|$)|runpy\.|"
    r"subprocess(\.|$)|ctypes(\.|$)|marshal\.|(_?pickle|dill|cloudpickle)\.(loads?|Unpickler)|shelve\.|"
    r"(joblib|torch)\.load$|code\.|codeop\.|"
    r"os\.(open$|fdopen|p?writev?|dup|sendfile|copy_file_range|splice|f?truncate|f?chdir|system|popen|exec|spawn|posix_spawn|fork)|posix\.|_posixsubprocess|pty\.|asyncio\.(create_)?subprocess|"
    r"mmap\.|contextlib\.redirect_stdout|sys\.(settrace|setprofile|monitoring|modules|meta_path|path_hooks|path_importer_cache|_getframe|"
    r"_current_frames|addaudithook|excepthook|displayhook|breakpointhook)|"
    r"threading\.(settrace|setprofile|excepthook)|"
    r"builtins$|__builtins__|__main__(\.|$)|multiprocessing(\.|$)|inspect\.(currentframe|stack|trace)|gc\.|site\.|"
    r"timeit(\.|$)|c?[pP]rofile\.|[pb]db\.|doctest\.|trace\.|unittest(\.|$)|pydoc\.|pkgutil\.|zipimport|imp\.|"
    r"logging\.config|types\.(FunctionType|CodeType|ModuleType)|operator\.methodcaller)"
)
"""Foreign names that run what cannot be read here, or reach names by text."""

MOVES: Final = re.compile(r"^(os\.(replace|renames?|link|symlink)|shutil\.(copy\w*|move))$")
"""Calls that put a file in another's place."""

READERS: Final = names(
    """
    open read read_text read_bytes readlines readline load loads loadtxt genfromtxt fromfile memmap read_csv
    read_parquet read_table read_json reader DictReader safe_load open_memmap imread urlopen
    """
)
"""Calls that bring in what lies outside the policy."""

PARSERS: Final = names("loads load reader DictReader safe_load read readlines readline")
"""Those of them that read what was opened before."""

PLAIN: Final = frozenset({"None", "True", "False"})
"""Constants that are no text."""

WRITERS: Final = names(
    """
    write writelines write_text write_bytes savetxt save savez dump to_csv to_json tofile writerow writerows
    """
)
"""Calls that something leaves the policy by."""

PLUMBING: Final = names(
    """
    list tuple set frozenset dict int float str bool bytes bytearray array asarray ascontiguousarray asanyarray
    fromiter copy deepcopy tolist astype item ravel flatten reshape squeeze iter next enumerate zip range arange
    reversed items keys values strip split rsplit rstrip lstrip lower upper encode decode splitlines join format Path
    parse_args parse_known_args add_argument ArgumentParser zeros ones empty full zeros_like ones_like
    empty_like full_like expanduser resolve exists is_file is_dir mkdir isnan isfinite isinf nan_to_num isnull
    notnull fillna dropna flatnonzero nonzero where compress defaultdict deque OrderedDict setdefault pop
    popleft islice chain from_iterable stack hstack vstack concatenate column_stack atleast_2d expand_dims cast
    partial to_numpy get dumps iterdir glob view append add extend insert appendleft update remove discard clear
    with_name with_suffix with_stem joinpath relative_to as_posix dirname abspath basename
    take isinstance repr compile map Counter all any replace isdigit isalpha to_pylist unique sha256 digest hexdigest
    """
)
"""Calls that move or convert what they get and decide nothing."""

SILENT: Final = names(
    """
    print debug info warning error exception basicConfig getLogger flush close filterwarnings seed
    setrecursionlimit perf_counter time monotonic simplefilter exit
    """
)
"""Calls whose arguments go to a reader or nowhere."""

GROWS: Final = names(
    """
    append add extend insert appendleft update remove discard clear push setdefault pop popleft heappush put
    """
)
"""Methods that change what they are called on by their arguments."""

FITS: Final = names("fit partial_fit fit_transform fit_predict")
"""Methods that change what they are called on and give something back as well."""

SAME: Final = {
    **dict.fromkeys(
        sorted(
            names("""
    sorted argsort lexsort nlargest nsmallest argpartition partition topk sort_values
    """)
        ),
        "sort",
    ),
    **dict.fromkeys(
        sorted(
            names("""
    sample choice choices permutation permuted shuffle random rand randint integers uniform gumbel randrange
    standard_normal normal getrandbits exponential standard_exponential randn multinomial
    """)
        ),
        "draw",
    ),
    **dict.fromkeys(["fsum"], "sum"),
    **dict.fromkeys(["amax", "maximum"], "max"),
    **dict.fromkeys(["amin", "minimum"], "min"),
    **dict.fromkeys(["percentile"], "quantile"),
    **dict.fromkeys(["average"], "mean"),
    **dict.fromkeys(["dot", "inner", "matmul", "einsum", "tensordot", "vdot"], "matmul"),
    **dict.fromkeys(["power"], "pow"),
    **dict.fromkeys(["subtract"], "sub"),
    **dict.fromkeys(["multiply"], "mul"),
    **dict.fromkeys(["divide", "true_divide"], "div"),
    **dict.fromkeys(["greater", "less", "greater_equal", "less_equal"], "order"),
    **dict.fromkeys(["isin", "in1d", "contains", "__contains__"], "in"),
}
"""Other names of the same operation."""

KEYWORD_TESTS: Final = names(
    """
    search match fullmatch startswith endswith find count index
    """
)
"""Text looked through for something; with a constant it is a keyword rule."""

ATTRIBUTES: Final = names(
    """
    shape size ndim dtype T flat index values columns name stem suffix parent real iloc loc str linalg random
    """
)
"""Attributes that name no column."""

_METADATA: Final = re.compile(
    r"^(.*_)?(source|subset|dataset|origin|id|ids|uid|row|rows|turns?|rounds?|len|length|lengths|chars|words|tokens|width|"
    r"height|size|has_image|url|image|path|file|filename|from|role|split|type|kind|count|counts|num|number)$"
)
_OF_THE_RUN: Final = names(
    """
    attempts feedback mean stderr by_benchmark best_so_far state n refusals budgets
    """
)
MACHINE: Final = ("/dev/", "/proc/", "/sys/", "/etc/", "/usr/", "/opt/")
"""Where a path begins that leads to no row of the pool."""
_RUN_FILES: Final = re.compile(r"(selection\.txt|history\.json|excluded\.json)$")


def plain(name: str) -> str:
    """A column's or signal's name as it is compared: lower case, ``-`` as ``_``, a file's without folder and
    ending."""
    last = name.rpartition("/")[2].lower().encode("utf-8", "backslashreplace").decode()  # "\ud800" is no text
    return re.sub(r"\.(npy|npz|csv|tsv|jsonl?|parquet|txt)$", "", last).replace("-", "_")


def is_metadata(name: str) -> bool:
    """Whether a column of this name says something of a row without looking at its content."""
    short = plain(name)
    return bool(_METADATA.match(short)) or short in _OF_THE_RUN


def is_run_file(text: str) -> bool:
    """Whether a path's constant part names what the host tells of the run, and no content."""
    return bool(_RUN_FILES.search(text))


def operation(name: str) -> str:
    """The label of a call by its last name."""
    last = name.rpartition(".")[2]
    last = last[3:] if last.startswith("nan") and last != "nan_to_num" else last
    return SAME.get(last, last)
