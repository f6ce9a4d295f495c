"""What a gate asks of a policy's code, and of the rows it selected. Each check gives problems; none raises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from curation_plugins.gating import EarlierTry, GateView
from curation_plugins.policies.carried import MAX_TEXT, carried_data
from curation_plugins.policies.code import Constant, PolicyCode
from curation_plugins.policies.compare import same_structure
from curation_plugins.policies.reading import PolicyUnreadable, read_policy
from curation_plugins.scaffolds.limits import MAX_AUC, MAX_OVERLAP, TREE_DEPTH
from curation_plugins.selection import jaccard, shared
from curation_sandbox.protocol import Problem

SETTINGS: Final = (".yaml", ".yml", ".toml", ".json", ".txt")
WRITTEN: Final = ("method.yaml", "research.yaml")
BANS: Final = frozenset({"only-metadata", "predicted-by-metadata", "names-source"})
"""A try refused for one of these may not come back with other constants."""


def readable(view: GateView) -> tuple[PolicyCode | None, list[Problem]]:
    """The policy's code, and what is wrong with it as a policy: unreadable, or carrying data."""
    problems = list(carried_data(view.policy, view.pool.rows))
    return code_or_none(view.policy), problems


def code_or_none(policy: Mapping[str, Path]) -> PolicyCode | None:
    """A policy's code; none where it cannot be read (an earlier one may have been handed in under no such rule)."""
    try:
        return read_policy(policy)
    except (PolicyUnreadable, OSError):
        return None


def not_an_earlier_one(view: GateView, code: PolicyCode) -> list[Problem]:
    """The procedure is not that of an accepted attempt, nor of a try that was refused for a ban.

    An attempt that the harness failed on counts for nothing: it may be tried again as it is.
    """
    problems = []
    for earlier in view.earlier:
        banned = earlier.outcome == "refused" and BANS & set(earlier.codes)
        if earlier.outcome != "accepted" and not banned:
            continue
        before = code_or_none(earlier.policy)
        if before is not None and same_structure(code, before):
            message = (
                f"{_main(code)}: the procedure is that of {_name(earlier)} with other names, numbers or order;"
                " another computation, or another signal of the content, is needed"
            )
            problems.append(Problem(code="same-structure", message=message))
    return problems


def not_an_earlier_selection(view: GateView, code: PolicyCode) -> list[Problem]:
    """The rows are not, but for a few, those of an accepted attempt, whatever the code looks like.

    Nothing is said where either takes half of the pool or more: large selections have to overlap.
    """
    rows = view.selection.rows
    for earlier in view.earlier:
        selected = earlier.selection if earlier.outcome == "accepted" else None
        if selected is None:
            continue
        before = selected.rows
        overlap = jaccard(rows, before)
        if overlap > MAX_OVERLAP and 2 * max(len(rows), len(before)) < view.pool.rows:
            message = (
                f"{_main(code)}: {shared(rows, before)} of the {len(rows)} rows are those of {_name(earlier)}"
                f" (overlap {overlap:.3f}, at most {MAX_OVERLAP}): what was changed changes next to nothing"
            )
            return [Problem(code="same-selection", message=message)]
    return []


def readable_throughout(view: GateView, code: PolicyCode) -> list[Problem]:
    """Nothing runs code that cannot be read, or reaches functions by computed names; and what it writes is seen."""
    entered = view.reproduction.functions if view.reproduction is not None else frozenset()
    problems = [
        Problem(
            code="policy-writes-unseen",
            message=f"{part.file}:{part.line}: {part.qualname} writes and was entered, and no call of it is seen",
        )
        for part in code.functions
        if part.writes and not part.reached and (part.file, part.qualname) in entered
    ]
    if not code.writes:
        message = (
            f"{_main(code)}: no call is seen that writes the rows (write, print with file=, write_text, savetxt,"
            " to_csv, json.dump and the like): what decides over them cannot be told"
        )
        problems.append(Problem(code="policy-writes-unseen", message=message))
    return problems + [
        Problem(
            code="policy-dynamic",
            message=(
                f"{place}: runs or reaches code that cannot be read (exec, eval, a process, computed names,"
                " sys.path), or gives a function's name to something else"
            ),
        )
        for place in code.dynamic[:20]
    ]


def _name(earlier: EarlierTry) -> str:
    if earlier.n is not None:
        return f"attempt {earlier.n}"
    return f"refusal {earlier.refusal}, which was refused as quotas or thresholds,"


def _main(code: PolicyCode) -> str:
    """Where a reader should look: the first function of policy.py that decides anything."""
    own = [found for found in code.functions if found.file == "policy.py" and found.live]
    return f"policy.py:{own[0].line if own else 1}"


def not_metadata_alone(view: GateView, code: PolicyCode) -> list[Problem]:
    """Something of the rows' content decides: by the code, and by what was selected."""
    problems = []
    if not code.content:
        read = ", ".join(name[:40] for name in code.metadata[:10]) or "nothing of the pool"
        message = (
            f"{_main(code)}: only metadata, constants and random numbers reach what it writes (it reads {read}):"
            " quotas, thresholds and random rows are no method here"
        )
        problems.append(Problem(code="only-metadata", message=message))
    from curation_plugins.scaffolds import (
        shallow_tree,  # NumPy is loaded where a gate asks, not where plugins are listed
    )

    area = shallow_tree.auc(view.pool.columns, view.selection.rows, view.pool.rows)
    if area is not None and area > MAX_AUC:
        message = (
            f"{_main(code)}: source, length and turn count alone tell which rows were selected (a tree of depth"
            f" {TREE_DEPTH}, AUC {area:.3f}, at most {MAX_AUC}): these are quotas or thresholds"
        )
        problems.append(Problem(code="predicted-by-metadata", message=message))
    return problems


def no_source_named(view: GateView, code: PolicyCode) -> list[Problem]:
    """No literal of live code is the name of one of the pool's sources: shares and lists of sources by hand. Nor does
    a file stand beside the code that names some, but for what a scaffold asks for, prose and all.

    Names that are columns as well are passed over. Sources that are picked by position or by hash are not seen here,
    only by what ``not_metadata_alone`` asks.
    """
    sources = view.pool.columns.get("source")
    if sources is None:
        return []
    names = {repr(str(name)) for name in set(sources.tolist())} - {repr(name) for name in code.reads}
    found: dict[str, Constant] = {}
    for constant in code.constants:
        if constant.text in names:
            found.setdefault(constant.text, constant)
    return [
        Problem(code="names-source", message=f"{place}: names the source {text} of the pool")
        for text, place in [
            *((text, f"{constant.file}:{constant.line}") for text, constant in found.items()),
            *_named_beside(view.policy, names),
        ][:10]
    ]


def _named_beside(policy: Mapping[str, Path], names: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """(source, file and line) where a file of settings names a source."""
    wanted = {re.escape(name[1:-1]): name for name in names if len(name) > 2}
    if not wanted:
        return
    word = re.compile(rf"(?<![\w.-])({'|'.join(sorted(wanted, key=len, reverse=True))})(?![\w.-])")
    for file, path in sorted(policy.items()):
        if file.endswith(SETTINGS) and file not in WRITTEN and path.stat().st_size <= MAX_TEXT:
            text = path.read_bytes().decode("utf-8", "replace")
            seen = {found[1]: text[: found.start()].count("\n") + 1 for found in reversed(list(word.finditer(text)))}
            yield from ((repr(name), f"{file}:{line}") for name, line in seen.items())


def named_functions(view: GateView, code: PolicyCode, names: Sequence[tuple[str, str]]) -> list[tuple[int, str, str]]:
    """What is wrong with functions that a file names: (place in ``names``, code, message).

    A function has to be there, to compute something that can reach what is written, and, once the policy was
    reproduced, to have been entered.
    """
    found = []
    for place, (file, qualname) in enumerate(names):
        function = code.function(file, qualname)
        if function is None:
            near = [f.qualname for f in code.functions if f.file == file][:8]
            said = f"{file} has {', '.join(near) or 'no functions'}" if file in code.files else f"there is no {file}"
            found.append((place, "step-function-missing", f"no function {qualname} in {file}: {said}"))
            continue
        where = f"{file}:{function.line}: {qualname}"
        if function.operations == 0:
            found.append((place, "step-does-nothing", f"{where} computes nothing"))
        elif not function.live:
            found.append((place, "step-unused", f"{where}: nothing it computes can reach what the policy writes"))
        traced = view.reproduction
        if traced is not None and (file, qualname) not in traced.functions:
            found.append((place, "step-not-run", f"{where} was not entered when the host ran the policy"))
    return found
