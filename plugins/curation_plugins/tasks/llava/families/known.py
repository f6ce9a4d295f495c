"""Which family a model belongs to."""

from __future__ import annotations

from typing import Any, Final

from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.families.family import Family
from curation_plugins.tasks.llava.families.llava15 import Llava15
from curation_plugins.tasks.llava.families.qwen import Qwen2VL, Qwen25VL
from curation_plugins.tasks.llava.families.smolvlm import SmolVLM

FAMILIES: Final[tuple[Family, ...]] = (Llava15(), Qwen2VL(), Qwen25VL(), SmolVLM())


def family_of(config: Any) -> Family:
    """The family of a model's configuration (transformers' `PretrainedConfig`).

    Raises:
        AssetsInvalid: of none of them.
    """
    kind = getattr(config, "model_type", None)
    for family in FAMILIES:
        if kind in family.model_types:
            return family
    known = ", ".join(sorted(name for family in FAMILIES for name in family.model_types))
    raise AssetsInvalid(
        f"a model of type {kind!r} belongs to no family that can be trained here", hint=f"There are: {known}."
    )
