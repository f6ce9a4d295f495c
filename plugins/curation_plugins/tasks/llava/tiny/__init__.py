"""Makes the assets of `llava-tiny`: pictures, questions, pool with planted truth, benchmarks, base model."""
