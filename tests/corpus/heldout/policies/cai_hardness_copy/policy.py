# Error-vector selection.
#
# For each example we have the length of the error vector, i.e. of (predicted distribution - target), averaged over
# the answer. Long error vector = the model has not absorbed the example. We keep the examples with the longest ones.
import json
import sys

import numpy

options = {flag: value for flag, value in zip(sys.argv[1::2], sys.argv[2::2])}
pool_dir = options["--pool"]
history_dir = options["--history"]
target_file = options["--out"]

FLOOR_PERCENTILE = 0
CEILING_PERCENTILE = 100
WANTED = 120

with open(f"{pool_dir}/rows.jsonl") as rows_handle:
    example_count = len(rows_handle.readlines())

error_length = numpy.full(example_count, numpy.nan)
with open(f"{history_dir}/signals/el2n.jsonl") as signal_handle:
    for record in map(json.loads, signal_handle):
        error_length[record["row"]] = record["value"]

floor = numpy.nanpercentile(error_length, FLOOR_PERCENTILE)
ceiling = numpy.nanpercentile(error_length, CEILING_PERCENTILE)
eligible = numpy.flatnonzero(numpy.logical_and(error_length >= floor, error_length <= ceiling))
descending = eligible[numpy.argsort(-error_length[eligible], kind="stable")]
winners = sorted(int(example) for example in descending[:WANTED])

with open(target_file, "w") as target_handle:
    for example in winners:
        target_handle.write(f"{example}\n")
