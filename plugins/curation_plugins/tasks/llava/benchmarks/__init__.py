"""Eight public benchmarks for vision-language models: reading their files, asking, scoring, aggregating.

One module a benchmark; the rules they share are in `options` (option letters and texts), `answers` (yes/no, numbers,
lists) and `judge` (an external grader). `load.load_benchmarks` reads the files, `registry.benchmark` gives the
scorer.

The rules follow VLMEvalKit at commit e8e78f05f3080fe28154f2130321f17951c3be94 (2026-08-18), cited in docstrings as
"VLMEvalKit <file> L<first>-<last>", with paths below its `vlmeval/`. What is done otherwise is said where it is done
and listed in docs/vlm-benchmarks.md.
"""
