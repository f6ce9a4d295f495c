"""Run records for tests, written through the store's own API from made-up scores."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from curation_harness.attempts.headline import compose
from curation_harness.measure.noise import spread
from curation_harness.record import scores
from curation_harness.record.measures import Noise, Part, Scores
from curation_harness.record.models import (
    FORMAT,
    AgentUsed,
    AttemptResult,
    AttemptSubmission,
    CodeRevision,
    Hardware,
    Headline,
    ImageUsed,
    Provided,
    ReferenceArm,
    ReferenceSeed,
    ReferenceTable,
    Refusal,
    RunSpec,
    ScaffoldUsed,
    Seeds,
    SeedScores,
    Timings,
    Truth,
)
from curation_harness.record.scheme import Scheme
from curation_harness.record.store import RunRecord
from curation_harness.record.sums import Half, Halves, pack, shorten
from curation_harness.record.tallies import tally
from curation_plugins import selection
from curation_plugins.config import Published, SubmissionRules, TaskConfig
from curation_plugins.jobs import ItemResult, TrainResult
from curation_sandbox.protocol import Feedback, PolicyFile, Problem

BENCHMARKS = ("counting", "digits", "reading", "relations")
POOL_ROWS = 2000
ROWS_MAX = 400
TIME = "2026-06-01T10:00:00.000+00:00"
DIGEST = "ab" * 32
CODE = CodeRevision(version="0.1.0", revision="c0ffee" * 6 + "abcd", dirty=False)
HARDWARE = Hardware(
    machine="x86_64", processor="Made Processor", cpus=2, memory_bytes=8 * 2**30, gpus=(), kernel="6.1"
)

PUBLISHED = (
    Published(name="no fine-tuning", score=0.288, source="Made et al. 2026", note="on another checkpoint"),
    Published(name="all rows", score=0.571, source="Made et al. 2026"),
)

HOSTILE = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "attribute": '" onmouseover="alert(3)" x="',
    "ansi": "\x1b[2J\x1b[31mowned\x1b[0m\x1b]0;title\x07\x9b31m",
    "markup": "[red]marked[/red] [link=https://evil.example]click[/link] [/]",
    "bidi": "abc\u202egnp.exe\u2066\u200b",
    "template": "{{ 7 * 7 }}{% raw %}",
    "address": "https://evil.example/x.png //evil.example javascript:alert(4)",
    "marks": "Z" + "\u0301" * 500,
    "nul": "a\0b\rc",
}
"""Text that an agent could write to harm whoever reads about it."""


def made_task() -> TaskConfig:
    return TaskConfig(
        name="made-tiny",
        family="made",
        title="A made-up task",
        submission=SubmissionRules(rows_max=ROWS_MAX),
        benchmarks=BENCHMARKS,
    )


def made_spec(run_id: str = "run-1", *, pool_digest: str = DIGEST, **changes: object) -> RunSpec:
    spec = RunSpec(
        format=FORMAT,
        run_id=run_id,
        created=TIME,
        task=made_task(),
        task_provider=Provided(name="made-tiny", distribution="made", version="1.0"),
        overrides=(),
        agent=AgentUsed(
            name="baseline",
            distribution="curation-harness",
            version="0.1.0",
            command=("python3", "/agent/baseline.py"),
            agent_dir=None,
            agent_arg=None,
        ),
        scaffold=ScaffoldUsed(name="open", version="1", digest=DIGEST, distribution="curation-harness"),
        engine="local",
        seeds=Seeds(run=7, agent=11, attempt=13, headline=(17, 19, 23)),
        assets_digest=DIGEST,
        pool_digest=pool_digest,
        recipe_digest=DIGEST,
        image=ImageUsed(name="base", digest="sha256:" + DIGEST, labels={}),
        code=CODE,
        packages={"numpy": "1.26", "torch": "2.6"},
        hardware=HARDWARE,
        published=PUBLISHED,
    )
    return spec.model_copy(update=changes)


@functools.cache
def made_items(level: float, seed: int, half: Half, *, items: int = 120) -> tuple[ItemResult, ...]:
    """Items answered right about as often as ``level`` says, two a group; the hard ones are hard for every model."""
    draw, hardness = random.Random(seed), random.Random(half)
    return tuple(
        ItemResult(
            benchmark=benchmark,
            item=f"{half}-{item}",
            group=f"{half}-{benchmark}-{item // 2}",
            score=float(0.7 * hardness.random() + 0.3 * draw.random() < level + 0.08 * place - 0.1),
        )
        for place, benchmark in enumerate(BENCHMARKS)
        for item in range(items)
    )


def made_scores(level: float, seed: int, half: Half = "public") -> Scores:
    return scores.aggregate(made_items(level, seed, half))


def made_whole(level: float, seed: int, sealed_level: float, sealed_seed: int) -> Scores:
    return scores.aggregate([*made_items(level, seed, "public"), *made_items(sealed_level, sealed_seed, "sealed")])


def write_items(folder: Path, half: Half, items: Sequence[ItemResult]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(item.model_dump_json() + "\n" for item in items)
    (folder / f"items-{half}.jsonl").write_text(lines)


@functools.cache
def made_references(random_seeds: int = 8) -> ReferenceTable:
    levels = {"base": 0.3, "full": 0.56, "noisy-only": 0.4, "clean-only": 0.7}
    counts = {"base": 1, "full": 3, "noisy-only": 3, "clean-only": 3}
    arms = [_arm(name, level, counts[name], 100 * place) for place, (name, level) in enumerate(levels.items())]
    arms += [_arm("random", 0.52, random_seeds, 1000), _arm("random-fixed", 0.52, 3, 2000)]
    places = {name: (level, 100 * place) for place, (name, level) in enumerate(levels.items())}
    places |= {"random": (0.52, 1000), "random-fixed": (0.52, 2000)}
    return ReferenceTable(
        format=FORMAT,
        task="made-tiny",
        pool_digest=DIGEST,
        recipe_digest=DIGEST,
        arms=tuple(arms),
        sums=pack({arm.name: [_halves(*places[arm.name], seed.seed) for seed in arm.seeds] for arm in arms}),
        noise=made_noise(),
        code=CODE,
        hardware=HARDWARE,
        measured=TIME,
    )


def made_noise() -> Noise:
    seeds = spread([0.52, 0.53, 0.515, 0.54, 0.525, 0.51])
    again = spread([0.52, 0.522, 0.52])
    parts: tuple[Part, ...] = ("public", "sealed", "all")
    return Noise(
        train=dict.fromkeys(parts, seeds),
        evaluate=dict.fromkeys(parts, again),
        flipped=0.012,
        reworded=0.05,
        measured=TIME,
    )


def _arm(name: str, level: float, seeds: int, base: int) -> ReferenceArm:
    return ReferenceArm(
        name=name,
        seeds=tuple(
            ReferenceSeed(
                seed=seed,
                rows=ROWS_MAX,
                public=made_scores(level, base + seed),
                sealed=made_scores(level, base + seed + 50, "sealed"),
                all_items=made_whole(level, base + seed, level, base + seed + 50),
                truth=Truth(precision=0.6, recall=0.55) if name == "random" else None,
            )
            for seed in range(seeds)
        ),
    )


def _halves(level: float, base: int, seed: int) -> Halves:
    return {
        "public": shorten(tally(made_items(level, base + seed, "public"))),
        "sealed": shorten(tally(made_items(level, base + seed + 50, "sealed"))),
    }


def write_attempt(
    record: RunRecord,
    n: int,
    *,
    rows: Sequence[int] | None = None,
    note: str = "",
    policy: Mapping[str, bytes] | None = None,
) -> AttemptSubmission:
    """Accept attempt ``n`` as the run loop does: folder first, then the event."""
    chosen = selection.of_rows(
        list(rows if rows is not None else random.Random(n).sample(range(POOL_ROWS), ROWS_MAX - n))
    )
    files = {"policy.py": b"import random\n"} if policy is None else policy
    sources = record.folder.parent / f"policy-of-{record.spec.run_id}-{n}"
    sources.mkdir()
    paths = {}
    for place, (name, content) in enumerate(files.items()):
        paths[name] = sources / str(place)
        paths[name].write_bytes(content)
    submission = AttemptSubmission(
        n=n,
        key=f"key-{n:06d}",
        digest=chosen.digest(),
        rows=len(chosen.rows),
        note=note,
        policy=tuple(PolicyFile(path=name, blob=DIGEST) for name in files),
        accepted=TIME,
    )
    record.write_submission(submission, chosen, paths)
    record.events.append("accepted", n=n, digest=submission.digest, rows=submission.rows)
    return submission


def write_score(record: RunRecord, n: int, level: float) -> AttemptResult:
    public = made_scores(level, 5000 + n)
    result = AttemptResult(
        n=n,
        status="scored",
        seed=13,
        public=public,
        sealed=made_scores(level - 0.02, 6000 + n, "sealed"),
        truth=Truth(precision=min(1.0, 0.4 + level / 2), recall=min(1.0, 0.2 + level / 2)),
        train=TrainResult(model="model", steps=200, samples=6400, loss=1.25, notes={"masked_rows": 3.0}),
        model_digest=DIGEST,
        slot="cpu-0",
        timings=Timings(train=31.0, evaluate=12.5, total=44.0),
        feedback=Feedback(
            mean=public.mean,
            stderr=public.stderr,
            n=public.n,
            by_benchmark=public.by_benchmark,
            references=(),
            noise_floor=0.03,
            best_so_far=public.mean,
            best_attempt=n,
            message="the best so far",
        ),
    )
    folder = record.attempt_folder(n)
    write_items(folder, "public", made_items(level, 5000 + n, "public"))
    write_items(folder, "sealed", made_items(level - 0.02, 6000 + n, "sealed"))
    record.write_result(result)
    record.events.append("attempt-scored", n=n, mean=public.mean)
    return result


def write_failure(record: RunRecord, n: int, failure: str = "WorkerCrashed: signal 9") -> None:
    record.write_result(AttemptResult(n=n, status="failed", seed=13, failure=failure, refunded=True))
    record.events.append("attempt-failed", n=n, failure=failure, refunded=True)


def write_headline(record: RunRecord, attempt: int, level: float) -> Headline:
    given = (17, 19, 23)
    seeds = tuple(
        SeedScores(
            attempt=attempt,
            seed=seed,
            public=made_scores(level, 7000 + seed),
            sealed=made_scores(level - 0.02, 8000 + seed, "sealed"),
            all_items=made_whole(level, 7000 + seed, level - 0.02, 8000 + seed),
            model_digest=DIGEST,
        )
        for seed in given
    )
    for k, seed in enumerate(given, start=1):
        folder = record.folder / "headline" / f"attempt-{attempt:03d}" / f"seed-{k}"
        write_items(folder, "public", made_items(level, 7000 + seed, "public"))
        write_items(folder, "sealed", made_items(level - 0.02, 8000 + seed, "sealed"))
    headline = compose(record, attempt, seeds, Scheme(BENCHMARKS))
    record.write_headline(headline)
    return headline


def write_refusal(record: RunRecord, n: int, message: str) -> None:
    problems = (Problem(code="unknown-row", message=message, row=3),)
    refusal = Refusal(n=n, key=f"refuse-{n:04d}", problems=problems, more_problems=2, refused=TIME)
    record.write_refusal(refusal, None, {})
    record.events.append("refused", n=n, codes=["unknown-row"])


def made_run(
    runs: Path,
    run_id: str = "run-1",
    *,
    attempts: int = 4,
    references: bool = True,
    hostile: bool = False,
    pool_digest: str = DIGEST,
) -> RunRecord:
    """A finished run: every third attempt failed by our fault, the others scored, a headline."""
    record = RunRecord.create(
        runs,
        made_spec(run_id, pool_digest=pool_digest),
        made_references() if references else None,
    )
    record.events.append("agent-started", container="made")
    for n in range(1, attempts + 1):
        note = f"Attempt {n}: keep rows whose image and text agree, drop near-duplicates."
        write_attempt(
            record,
            n,
            note="".join(HOSTILE.values()) + "x" * 100_000 if hostile else note,
            policy=_hostile_policy() if hostile else None,
        )
        if n % 3 == 0:
            write_failure(record, n, HOSTILE["script"] if hostile else "WorkerCrashed: signal 9")
        else:
            write_score(record, n, 0.5 + 0.15 * (1 - 0.7**n))
        record.events.append("clock", agent_seconds=41.5)
    write_refusal(record, 1, "".join(HOSTILE.values()) if hostile else "row 99999 is not in the pool")
    write_headline(record, min(attempts, 2), 0.62)
    record.events.append("ended", status="scored")
    return record


def _hostile_policy() -> dict[str, bytes]:
    return {
        "policy.py": "\n".join(HOSTILE.values()).encode() + b"\n</pre></details></style>",
        "data.bin": bytes(range(256)),
        "latin.txt": "caf\u00e9 ".encode("latin-1") * 20_000,
    }
