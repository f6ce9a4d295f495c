"""The LLaVA task family: select rows for visual instruction tuning.

`task.py` holds the plugin's side and imports nothing heavy. Rows, chat template, encoding, recipe, trainer,
evaluator and signals are the same for every size of model; `tiny/` makes a pool, benchmarks and a base model
locally, small enough for two CPU cores.
"""
