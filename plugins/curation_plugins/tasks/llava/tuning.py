"""Makes a loaded model ready to be trained as a recipe says: what is frozen, which precision, which kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from curation_plugins.errors import ConfigInvalid
from curation_plugins.tasks.llava.families.family import Family
from curation_plugins.tasks.llava.families.known import family_of
from curation_plugins.tasks.llava.recipe import Recipe


@dataclass(frozen=True)
class Tuned:
    """A model under a recipe."""

    model: Any
    """What is trained, in place."""
    family: Family
    parameters: list[torch.nn.Parameter]
    """Those to train."""
    adapters: Any | None
    """What `merge_and_unload` is called on in the end; none for full tuning."""

    def merge(self) -> None:
        """Puts adapters into the weights."""
        if self.adapters is not None:
            self.adapters.merge_and_unload()


def tune(model: Any, recipe: Recipe) -> Tuned:
    """Freezes, adds adapters, sets precision and kernels.

    Raises:
        ConfigInvalid: the recipe asks for a package that is not installed.
    """
    family = family_of(model.config)
    adapters = _adapted(model, family, recipe) if recipe.tuning == "lora" else None
    if not recipe.train_tower:
        family.tower(model).requires_grad_(False)
        if adapters is None:
            family.projector(model).requires_grad_(True)
    _set_types(model, recipe)
    if recipe.liger:
        _apply_liger(model, family)
    if recipe.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return Tuned(model, family, [p for p in model.parameters() if p.requires_grad], adapters)


def _adapted(model: Any, family: Family, recipe: Recipe) -> Any:
    from peft import LoraConfig, get_peft_model  # slow to import, and rarely needed

    # A frozen output layer can hardly learn to begin answers in a new form (the tiny model's yes/no stays at the
    # majority), but LLaVA's own recipe has it.
    projector = {id(module): name for name, module in model.named_modules()}[id(family.projector(model))]
    kept = [projector.rsplit(".", 1)[-1]] + (["lm_head"] if recipe.lora.train_head else [])
    return get_peft_model(
        model,
        LoraConfig(
            r=recipe.lora.rank,
            lora_alpha=recipe.lora.alpha,
            lora_dropout=recipe.lora.dropout,
            target_modules=rf".*{family.language_name}{family.linear}",
            modules_to_save=kept,
        ),
    )


def _set_types(model: Any, recipe: Recipe) -> None:
    """What is trained in fp32 (or all in bf16); on CUDA frozen weights in bf16, as the forward pass is anyway."""
    mixed_on_card = recipe.precision == "mixed" and model.device.type == "cuda"
    for parameter in model.parameters():
        small = recipe.precision == "bf16" or (mixed_on_card and not parameter.requires_grad)
        wanted = torch.bfloat16 if small else torch.float32
        if parameter.dtype != wanted:
            parameter.data = parameter.data.to(wanted)


def _apply_liger(model: Any, family: Family) -> None:
    """Norm, rotary and MLP kernels of the language model; the loss is ours, at supervised positions only."""
    try:
        from liger_kernel.transformers import monkey_patch  # optional package
    except ImportError as error:
        raise ConfigInvalid(
            "recipe.liger: the package liger-kernel is not installed",
            hint="pip install liger-kernel, or liger: false.",
        ) from error
    apply = {
        "llava-1.5": "apply_liger_kernel_to_llama",
        "smolvlm": "apply_liger_kernel_to_llama",
        "qwen2-vl": "apply_liger_kernel_to_qwen2_vl",
        "qwen2.5-vl": "apply_liger_kernel_to_qwen2_5_vl",
    }[family.name]
    whole = model if family.name.startswith("qwen") else family.language(model)
    getattr(monkey_patch, apply)(cross_entropy=False, fused_linear_cross_entropy=False, model=whole)
