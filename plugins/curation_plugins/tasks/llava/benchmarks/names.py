"""What is asked of benchmarks by name where their code, which reads images, should not be imported."""

from __future__ import annotations

from typing import Final

GRADED: Final = ("MMVet", "LLaVABench")
"""Those whose scores are a judge's opinion (`Benchmark.judge_role` is ``grades``): left out of the mean
without judge."""
