"""A task's configuration: ``tasks/<name>/task.yaml``, resolved, checked and frozen.

A file may say ``extends: other-task`` (its folder's name); mappings are merged key by key, everything else is
replaced. ``--set a.b=value`` on the command line is one more layer on top. Unknown keys are errors at every
level, and each message names file, key and the nearest known key.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from curation_plugins.errors import ConfigInvalid
from curation_sandbox.spec import Bytes, Limits

ModelT = TypeVar("ModelT", bound=BaseModel)


class Frozen(BaseModel):
    """Base of every configuration model: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Kind = Literal["rows", "uids"]

CANONICAL_NAMES: Final[Mapping[Kind, str]] = {"rows": "selection.jsonl", "uids": "selection.npy"}


class SubmissionRules(Frozen):
    kind: Kind = "rows"
    """What is handed in. ``rows``: ids of pool rows, optionally with weights. ``uids``: uids of pool rows, a uid as
    often as the row shall count."""
    rows_max: int = Field(gt=0)
    """At most this many different rows; fewer are fine."""
    weights: bool = False
    """Kind ``rows``: whether rows may carry a weight."""
    repeats_max: int = Field(default=1, ge=1, le=1000)
    """Kind ``uids``: how often a uid may be named, which is its row's weight; 1: no repeats."""
    samples_min: int = Field(default=1, ge=1)
    """Kind ``uids``: at least this many, repeats counted: a recipe may need one batch."""
    max_bytes: int = Field(default=16 * 2**20, gt=0)
    """Largest submitted file, bytes."""

    @property
    def canonical_name(self) -> str:
        """Name of the frozen selection's file."""
        return CANONICAL_NAMES[self.kind]


class Budgets(Frozen):
    iterations: int = Field(default=4, gt=0)
    """Attempts a run may spend."""
    refusals: int = Field(default=30, ge=0)
    """Refused submissions after which no more are taken."""
    agent_seconds: float = Field(default=3600, gt=0)
    """Agent wall time; stands still while the host trains, scores or queues."""
    total_seconds: float = Field(default=24 * 3600, gt=0)
    """Wall time of the agent's part, host work included; it ends in order when that is spent. Counted anew when a
    run is resumed."""
    refunds: int = Field(default=3, ge=0)
    """Iterations given back after failures of the harness; further failures are not refunded."""
    signal_seconds: float = Field(default=600, ge=0)
    """Seconds of host work that ``curate signal`` may spend."""
    reproduce_seconds: float = Field(default=300, gt=0)
    """Seconds that a submitted policy may take when the host runs it again."""
    model_requests: int | None = Field(default=10_000, gt=0)
    """Requests to the model, sub-agents' included; the first 100 that its provider failed on are given back; none: no
    limit."""
    model_tokens: int | None = Field(default=None, gt=0)
    """Tokens of the model, prompts (cached ones too) and replies together; none: no limit."""
    model_dollars: float | None = Field(default=None, gt=0)
    """Money for the model, US dollars by the run's price table; none: no limit."""
    idle_seconds: float = Field(default=1800, gt=0)
    """An agent that neither asks its model nor prints anything for this long, while the host has no work of it, is
    ended like one that stopped."""
    linger_seconds: float = Field(default=20, ge=0)
    """How long an agent's program may go on after it said that its turn is over."""
    continuations: int = Field(default=3, ge=0)
    """How often an agent that stops with iterations left is told so and continued in the same conversation."""


class WorkerLimits(Frozen):
    seconds: float = Field(default=3600, gt=0)
    """One job's time limit, start of the worker included."""
    memory: Bytes = 8 * 2**30
    """Resident memory of the worker's processes above which they are killed; bytes, or e.g. ``8g``."""
    silence_seconds: float = Field(default=900, gt=0)
    """Without a progress message for this long the worker counts as hung."""


class FeedbackRules(Frozen):
    by_benchmark: bool = True
    """Tell scores per benchmark, or the mean only."""
    digits: int = Field(default=4, ge=1, le=6)
    """Digits after the point that the agent is told."""
    coarse: bool = False
    """Tell means in whole steps of the noise floor, where it was measured: what many attempts could climb on is then
    mostly not noise of the public items."""


class HeadlineRules(Frozen):
    seeds: int = Field(default=3, ge=1)
    """Fresh training seeds of the sealed headline."""


class Checkpoints(Frozen):
    """Which trained models of a run stay on disk. The headline trains anew and keeps none."""

    keep: Literal["best", "all", "none"] = "best"
    """``best``: the model of the attempt with the highest public score so far; a better one replaces it. A run then
    has at most two on disk, the kept one and the one in the making."""


class TaskConfig(Frozen):
    """One task, as numbers. Prose for the agent is in ``brief.md`` beside the file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")
    """Unique name, as in ``--task NAME``."""
    family: str
    """The kind of task whose code this configures, e.g. ``llava``."""
    title: str
    """One line for ``harness tasks``."""
    image: str = "base"
    """Container image the agent's image is built on: a name under ``images/``, or a tag or id the engine has."""
    submission: SubmissionRules
    budgets: Budgets = Budgets()
    limits: Limits = Field(default=Limits(), validate_default=True)
    """Limits of the agent's container."""
    workers: WorkerLimits = WorkerLimits()
    checkpoints: Checkpoints = Checkpoints()
    feedback: FeedbackRules = FeedbackRules()
    headline: HeadlineRules = HeadlineRules()
    benchmarks: tuple[str, ...] = Field(min_length=1)
    """Names of the benchmarks; the score is the unweighted mean over them."""
    assets: dict[str, Any] = {}
    """Settings from which the task's files (pool, model, benchmark items) are made; checked by the family."""
    recipe: dict[str, Any] = {}
    """The fixed training configuration; checked by the family."""
    evaluation: dict[str, Any] = {}
    """How answers are generated and graded; checked by the family."""
    references: dict[str, int] = {}
    """Reference selections and over how many seeds each is measured, e.g. ``random: 8``."""

    @field_validator("limits")
    @classmethod
    def _room_for_a_submission(cls, limits: Limits, info: ValidationInfo) -> Limits:
        rules = info.data.get("submission")
        room = min(limits.file_size, limits.workspace_size)
        if rules is not None and rules.max_bytes > room:
            raise ValueError(
                f"submission.max_bytes is {rules.max_bytes}, and in the container a file may have {room} bytes:"
                " lower it, or raise limits.file_size and limits.workspace_size"
            )
        return limits


class AuditCounts(Frozen):
    """How many rows of a pool hold benchmark items; shows nothing of any item."""

    rows: int
    """That were compared."""
    items: int
    """Of all benchmarks, public and sealed."""
    pictures: int
    """Different ones of the rows."""
    excluded: int
    """Rows that nobody may choose for what was found in them."""
    reported: int
    """Rows with findings that exclude nothing."""
    unreadable: int
    """Rows whose picture cannot be read; where the audit excludes rows, nobody may choose them, either."""
    items_unreadable: int = 0
    """Pictures of benchmark items that cannot be read: nothing was compared with them."""
    by_rule: dict[str, int]
    """Rows by rule; one row may be found by several."""
    by_benchmark: dict[str, int]
    """Excluded rows by benchmark; where the audit excludes none, rows with a finding."""
    items_found: dict[str, int]
    """Different groups of items that these rows hold, by benchmark."""
    common: int
    """Questions of items that the pool asks about so many pictures that they say nothing by themselves."""
    version: int
    """Of the rules."""
    excludes: bool = True
    """Whether rows with a finding are excluded; else they are counted only."""


class Published(Frozen):
    """A score that somebody else published for a task. Shown beside a run's, never mixed with what was measured."""

    name: str
    """What was trained or who chose the data."""
    score: float = Field(ge=0, le=1)
    """Mean over the benchmarks, all items."""
    source: str
    """Where it was published."""
    note: str = ""
    """What has to be known to compare."""


class _PublishedFile(Frozen):
    scores: tuple[Published, ...]


def load_published(path: Path) -> tuple[Published, ...]:
    """Read a task's ``published.yaml``; a task without one has none.

    Raises:
        ConfigInvalid: as for a ``task.yaml``.
    """
    if not path.exists():
        return ()
    return _check(_PublishedFile, _read(path), str(path), (path,)).scores


def load(path: Path, overrides: Sequence[str] = ()) -> TaskConfig:
    """Read, merge and check a ``task.yaml``.

    Raises:
        ConfigInvalid: not YAML, unknown or wrong keys (file, line, key, and what would be right).
    """
    files = _files(path.resolve())
    tree: dict[str, Any] = {}
    for file in reversed(files):
        tree = _merge(tree, {key: value for key, value in _read(file).items() if key != "extends"})
    return resolve(tree, overrides, origin=str(path), files=files)


def resolve(tree: Mapping[str, Any], overrides: Sequence[str], origin: str, files: Sequence[Path] = ()) -> TaskConfig:
    """Apply ``a.b=value`` overrides to a configuration tree and check the result.

    ``files`` are those the tree was read from, the uppermost layer first; messages name the line.
    """
    merged: dict[str, Any] = dict(tree)
    for override in overrides:
        merged = _merge(merged, _parse_override(override))
    return _check(TaskConfig, merged, origin, files)


def section(config: TaskConfig, key: str, model: type[ModelT]) -> ModelT:
    """Check a part of the configuration that only the task's family knows (``assets``, ``recipe``).

    Raises:
        ConfigInvalid: as for the rest of the file.
    """
    return _check(model, getattr(config, key), f"task {config.name}", (), prefix=(key,))


def options(texts: Sequence[str], model: type[ModelT], agent: str) -> ModelT:
    """The options of an agent, from ``KEY=VALUE`` texts.

    Raises:
        ConfigInvalid: unknown or wrong ones.
    """
    tree: dict[str, Any] = {}
    for text in texts:
        tree = _merge(tree, _parse_override(text, flag="--agent-option", example="max_iterations=50"))
    hint = f"`harness agents {agent}` lists its options."
    if not model.model_fields and tree:
        raise ConfigInvalid(f"agent {agent} has no options; given: {', '.join(tree)}", hint="Leave them out.")
    return _check(model, tree, f"--agent-option of {agent}", (), hint=hint)


def _check(
    model: type[ModelT],
    tree: Mapping[str, Any],
    origin: str,
    files: Sequence[Path],
    prefix: tuple[str, ...] = (),
    hint: str = "Correct the keys named above; docs/tasks.md lists every key.",
) -> ModelT:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        complaints = [_explain(e, model, prefix, files) for e in error.errors()]
        raise ConfigInvalid(
            f"{origin}: " + "; ".join(complaints),
            hint=hint,
        ) from None


def override(config: TaskConfig, overrides: Sequence[str]) -> TaskConfig:
    """The same task with ``--set`` overrides applied.

    ``section.extends=NAME`` starts that section anew, whatever the task's file has in it: what was extended there is
    resolved, and its values would cover those of ``NAME``.
    """
    if not overrides:
        return config
    tree = config.model_dump(mode="json")
    for part in map(_parse_override, overrides):
        tree |= {key: {} for key, value in part.items() if isinstance(value, Mapping) and "extends" in value}
    return resolve(tree, overrides, origin=f"--set on task {config.name}")


def _files(path: Path) -> list[Path]:
    """The file and those it extends, uppermost layer first."""
    files = [path]
    while (parent := _read(files[-1]).get("extends")) is not None:
        base = files[-1].parent.parent / str(parent) / "task.yaml"
        if base in files:
            circle = " → ".join(file.parent.name for file in (*files, base))
            raise ConfigInvalid(f"{path}: 'extends' goes round in a circle: {circle}", hint="Break the circle.")
        if not base.exists():
            known = sorted(file.parent.name for file in base.parent.parent.glob("*/task.yaml"))
            raise ConfigInvalid(
                f"{files[-1]}: extends {str(parent)!r}, and there is no {base}",
                hint=f"Tasks beside it: {', '.join(known)}.",
            )
        files.append(base)
    return files


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key written twice instead of forgetting the first one."""


def _unique_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    lines: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if isinstance(key, Hashable) and lines.setdefault(key, line) != line:
            raise yaml.MarkedYAMLError(
                problem=f"key {key!r} stands in line {lines[key]} too", problem_mark=key_node.start_mark
            )
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise ConfigInvalid(f"{path}: no such file", hint="A task is a folder with task.yaml and brief.md.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise ConfigInvalid(f"{path}{where}: {what}", hint="Correct the YAML.") from None
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else type(tree).__name__
        raise ConfigInvalid(
            f"{path}: keys and values were expected, found {found}", hint="docs/tasks.md lists every key."
        )
    return tree


def _line(files: Sequence[Path], location: Sequence[str | int]) -> str:
    """``, FILE line N`` of the uppermost layer that has the key."""
    for file in files:
        node: yaml.Node | None = yaml.compose(file.read_text(encoding="utf-8"), Loader=_Loader)
        line = 0
        for part in location:
            if isinstance(node, yaml.MappingNode):
                children = {key.value: (key, value) for key, value in node.value}
            elif isinstance(node, yaml.SequenceNode):
                children = {str(place): (value, value) for place, value in enumerate(node.value)}
            else:
                children = {}
            if str(part) not in children:
                line = 0
                break
            key, node = children[str(part)]
            line = key.start_mark.line + 1
        if line:
            return f" ({file}, line {line})"
    return ""


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _parse_override(text: str, flag: str = "--set", example: str = "budgets.iterations=10") -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigInvalid(f"{flag} {text!r} is not KEY=VALUE", hint=f"Example: {flag} {example}")
    try:
        tree: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigInvalid(f"{flag} {text!r}: the value is not YAML") from None
    for part in reversed(key.split(".")):
        tree = {part: tree}
    assert isinstance(tree, dict)
    return tree


def _explain(error: ErrorDetails, model: type[BaseModel], prefix: tuple[str, ...], files: Sequence[Path]) -> str:
    location = error["loc"]
    key = ".".join(str(part) for part in (*prefix, *location))
    where = _line(files, (*prefix, *location))
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg']}{where}"
    near = difflib.get_close_matches(str(location[-1]), _known_keys(model, location[:-1]), n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return f"{key}: unknown key{meant}{where}"


def _known_keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
