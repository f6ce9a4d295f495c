"""Which type each kind of file of a record has, and the JSON Schemas that are made of them.

Kinds that are not here are no JSON of ours: code and texts of agents, logs, models, and lists of digests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from curation_harness.errors import RecordInvalid
from curation_harness.model_tables import field_texts, nested_models
from curation_harness.record import event_data, models
from curation_harness.record.entry import Entry
from curation_harness.record.exchanges import ExchangeEntry
from curation_harness.record.layout import FileKind, shown, walk
from curation_harness.replay.verdict import Replay
from curation_harness.rerun.stages import Rerun
from curation_harness.trajectory.atif import Trajectory
from curation_plugins.jobs import EvaluateResult, ItemResult, Prediction
from curation_sandbox.protocol import History

MAX_LINE: Final = 2**28
"""Bytes of a line; a longer one is no line of ours."""

Form = Literal["object", "lines"]
"""One JSON object, or one a line."""


class RowLine(Entry):
    """One line of a frozen selection of kind ``rows``, ascending by row."""

    row: Annotated[int, Field(ge=0)]
    weight: Annotated[float, Field(gt=0)]


class SignalLine(Entry):
    """One line of ``history/signals/NAME.jsonl``, ascending by row."""

    row: Annotated[int, Field(ge=0)]
    value: float | tuple[float, ...] | None
    """A number, a vector, or none where the row has no such thing."""


@dataclass(frozen=True)
class FileType:
    """How the files of one kind are written."""

    form: Form
    model: type[BaseModel] | None
    """None: the lines of the event log, which have one type a kind of event."""
    slug: str
    """Name of its schema."""


TYPES: Final[Mapping[str, FileType]] = {
    "run.json": FileType("object", models.RunSpec, "run"),
    "references.json": FileType("object", models.ReferenceTable, "references"),
    "events.jsonl": FileType("lines", None, "event"),
    "attempts/NNN/submission.json": FileType("object", models.AttemptSubmission, "submission"),
    "attempts/NNN/selection.jsonl": FileType("lines", RowLine, "selection-row"),
    "attempts/NNN/result.json": FileType("object", models.AttemptResult, "result"),
    "items-HALF.jsonl": FileType("lines", ItemResult, "item"),
    "predictions-HALF.jsonl": FileType("lines", Prediction, "prediction"),
    "evaluation-HALF.json": FileType("object", EvaluateResult, "evaluation"),
    "refusals/NNN.json": FileType("object", models.Refusal, "refusal"),
    "refusals/NNN/selection.jsonl": FileType("lines", RowLine, "selection-row"),
    "history/history.json": FileType("object", History, "history"),
    "history/signals/NAME.jsonl": FileType("lines", SignalLine, "signal-row"),
    "headline/attempt-NNN/seed-K/scores.json": FileType("object", models.SeedScores, "seed-scores"),
    "headline.json": FileType("object", models.Headline, "headline"),
    "model/exchanges.jsonl": FileType("lines", ExchangeEntry, "exchange"),
    "trajectory.json": FileType("object", Trajectory, "trajectory"),
    "reruns/NNN-replay.json": FileType("object", Replay, "replay"),
    "reruns/NNN.json": FileType("object", Rerun, "rerun"),
}
"""Name of the kind in ``layout.KINDS`` → its type."""


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a kind's files, or of each of its lines."""
    found = TYPES[name]
    if found.model is not None:
        made = _explained(TypeAdapter(found.model).json_schema(mode="serialization"), [found.model])
    else:
        lines = tuple(event_data.line_models())
        union: Any = Union.__getitem__(lines)  # of types that are made at run time
        union = Annotated[union, Field(discriminator="kind")]
        made = _explained(TypeAdapter(union).json_schema(mode="serialization"), tuple(event_data.DATA.values()))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:curation-harness:record:{models.FORMAT}:{found.slug}",
        **made,
        "$comment": f"Format {models.FORMAT} of the run record: {name}{', a line' if found.form == 'lines' else ''}.",
    }


def _explained(tree: dict[str, Any], roots: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """With the texts under the fields as descriptions."""
    known: dict[str, type[BaseModel]] = {}
    for root in roots:
        _gather(root, known)
    for name, part in (*tree.get("$defs", {}).items(), (tree.get("title", ""), tree)):
        texts = field_texts(known[name]) if name in known else {}
        for key, entry in part.get("properties", {}).items():
            if key in texts:
                entry.setdefault("description", texts[key])
    return tree


def _gather(model: type[BaseModel], known: dict[str, type[BaseModel]]) -> None:
    """A model and those in its fields, by name."""
    if model.__name__ in known:
        return
    known[model.__name__] = model
    for field in model.model_fields.values():
        for inner in nested_models(field.annotation):
            _gather(inner, known)


def check_types(folder: Path, *, reruns: bool = True) -> int:
    """Read every file of a record whose kind has a type. Returns how many they are.

    Args:
        reruns: whether what reruns found is read, too; of format 1 it was of another type, and nothing rests on it.

    Raises:
        RecordInvalid: one is not what its type says; with its name and line.
    """
    count = 0
    for path, kind in walk(folder):
        if kind.name not in TYPES or kind.name == "run.json":  # which was read when the record was opened
            continue
        if reruns or not kind.name.startswith("reruns/"):
            _check(folder, path, kind)
            count += 1
    return count


def _check(folder: Path, path: str, kind: FileKind) -> None:
    found = TYPES[kind.name]
    if found.model is None:
        return  # events are read one by one, in their order
    adapter: TypeAdapter[Any] = TypeAdapter(found.model)
    for where, text in _texts(folder / path, found.form):
        try:
            adapter.validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise RecordInvalid(
                f"{folder}: {shown(path)}{where}: {key + ': ' if key else ''}{first['msg']}",
                hint="The record was changed or damaged.",
            ) from None


def _texts(path: Path, form: Form) -> Iterator[tuple[str, bytes]]:
    """(where, JSON text) of a file's objects."""
    with path.open("rb") as file:
        if form == "object":
            yield "", file.read()
            return
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            yield f", line {number}", line
