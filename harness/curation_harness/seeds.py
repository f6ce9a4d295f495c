"""Where seeds come from: one rule, written down, so that nobody draws twice.

Every seed of a run is the first four bytes (big-endian, top bit cleared) of SHA-256 over
``"<run seed>:<purpose>"``. All attempts share one training seed: attempts of a run differ by their data only, and
resubmitting a selection with a row changed does not buy another draw of the training noise. The headline uses
seeds of its own that no attempt has seen.
"""

from __future__ import annotations

import hashlib

from curation_harness.record.models import Seeds


def derive(run_seed: int, purpose: str) -> int:
    digest = hashlib.sha256(f"{run_seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF


def of_run(run_seed: int, headline_seeds: int) -> Seeds:
    return Seeds(
        run=run_seed,
        agent=derive(run_seed, "agent"),
        attempt=derive(run_seed, "attempt"),
        headline=tuple(derive(run_seed, f"headline-{k}") for k in range(1, headline_seeds + 1)),
    )


def of_reference(arm: str, k: int) -> int:
    """Training seed of the k-th measurement of a reference (0-based); independent of any run."""
    return derive(0, f"reference-{arm}-{k}")
