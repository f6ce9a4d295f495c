"""MMStar: 1,500 multiple-choice questions that need the image."""

from __future__ import annotations

from curation_plugins.tasks.llava.benchmarks.choice import ChoiceBenchmark


class MMStar(ChoiceBenchmark):
    """Accuracy over all questions (VLMEvalKit dataset/utils/multiple_choice.py L77-100, `Overall`)."""

    name = "MMStar"
    md5 = "e1ecd2140806c1b1bbf54b43372efb9e"
