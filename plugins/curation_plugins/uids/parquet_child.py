"""The child that reads a parquet file of uids: plain entries into a file, findings as JSON on standard output.

Limits on memory, processor time and what it writes are its own, set before it opens anything.
"""

from __future__ import annotations

import errno
import json
import resource
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from curation_plugins.uids.digits import DIGITS, halves
from curation_plugins.uids.parquet import ENTRY, NO_ARROW, NO_ROOM, UNREADABLE

BATCH: Final = 2**16
OURS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What only writing can meet: the list may be sound."""


class NoList(Exception):
    """The file is no list of uids; the text says why."""


def read(path: Path, out: Path, entries_max: int) -> dict[str, Any]:
    """Turn the file into entries; what is found of it."""
    from pyarrow import parquet

    with parquet.ParquetFile(path, memory_map=False, buffer_size=2**20, pre_buffer=False) as file:
        names = file.schema_arrow.names
        if names.count("uid") != 1 or names.count("weight") > 1:
            raise NoList(f"the parquet file needs one column 'uid'; it has {names[:8]}")
        count = file.metadata.num_rows
        if count > entries_max:
            raise NoList(f"{count:,} uids; at most {entries_max:,} may be named, repeats counted")
        columns = [name for name in ("uid", "weight") if name in names]
        entries = wrong = first_wrong = 0
        with out.open("wb") as target:
            for batch in file.iter_batches(BATCH, columns=columns, use_threads=False):
                made, good = _of_batch(batch)
                if not good.all():
                    first_wrong = first_wrong or entries + int(np.argmin(good)) + 1
                    wrong += int(np.count_nonzero(~good))
                entries += len(made)
                if entries > entries_max:
                    raise NoList("the parquet file holds more rows than it says")
                target.write(made.tobytes())
    return {"entries": entries, "wrong": wrong, "first_wrong": first_wrong}


def _of_batch(batch: Any) -> tuple[np.ndarray, np.ndarray]:
    """Entries of dtype ``ENTRY`` and which of them have a uid."""
    made = np.zeros(batch.num_rows, ENTRY)
    made["high"], made["low"], good = _uids(batch.column(batch.schema.names.index("uid")))
    made["weight"] = 1.0
    if "weight" in batch.schema.names:
        made["weight"] = _weights(batch.column(batch.schema.names.index("weight")))
    return made, good


def _uids(column: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if not any(is_kind(kind) for is_kind in text):
        raise NoList(f"the column 'uid' has type {column.type}; strings of 32 hexadecimal digits are read")
    texts = column.cast(pa.binary())
    sized = pc.fill_null(pc.equal(pc.binary_length(texts), DIGITS), False)
    good = np.array(sized.to_numpy(zero_copy_only=False))
    whole = pc.if_else(sized, texts, b"0" * DIGITS).cast(pa.binary(DIGITS))
    data = np.frombuffer(whole.buffers()[1], np.uint8)[DIGITS * whole.offset :][: DIGITS * len(whole)]
    high, low, hexadecimal = halves(data.reshape(-1, DIGITS))
    return high, low, good & hexadecimal


def _weights(column: Any) -> np.ndarray:
    import pyarrow as pa

    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise NoList(f"the column 'weight' has type {column.type}; whole numbers are read")
    weights: np.ndarray = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return weights


def main() -> int:
    path, out = Path(sys.argv[1]), Path(sys.argv[2])
    entries_max, memory, seconds = (int(text) for text in sys.argv[3:6])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        import pyarrow
    except ImportError:
        return NO_ARROW
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (entries_max * ENTRY.itemsize,) * 2)
    try:
        found = read(path, out, entries_max)
    except NoList as error:
        found = {"entries": 0, "refused": str(error)[:400]}
    except OSError as error:  # Arrow's own for damaged files are among them, without a number
        return NO_ROOM if error.errno in OURS else UNREADABLE
    except (pyarrow.ArrowException, ValueError, KeyError, TypeError, MemoryError, OverflowError):
        return UNREADABLE
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
