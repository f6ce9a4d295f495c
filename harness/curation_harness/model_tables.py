"""Pydantic models as Markdown tables: key, type, default, and the text that stands under the field in the source."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from curation_sandbox.spec import format_size, parse_size


def table(model: type[BaseModel], prefix: str = "") -> str:
    """One row a field. ``prefix`` is put before each key."""
    texts = field_texts(model)
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        cells = (f"`{prefix}{name}`", f"`{type_name(field.annotation)}`", _default(field), texts.get(name, ""))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def summary_of(model: type[BaseModel]) -> str:
    """The model's own docstring, as Markdown."""
    text = inspect.cleandoc(model.__dict__.get("__doc__") or "").replace("``", "`")
    return f"{text}\n" if text else ""


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """The string under each field, as written in the source of the class or of one it inherits from."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            texts |= _texts_in(base)
    return texts


def _texts_in(model: type[BaseModel]) -> dict[str, str]:
    (cls,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(cls, ast.ClassDef)
    texts = {}
    for field, text in zip(cls.body, cls.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            texts[field.target.id] = " ".join(text.value.value.split()).replace("``", "`")
    return texts


def nested_models(annotation: object) -> Iterator[type[BaseModel]]:
    """The models in a type, e.g. in ``tuple[Score, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from nested_models(argument)


def type_name(annotation: Any) -> str:
    """A type in few words; validators and constraints are left to the text."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " | ".join(json_text(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(type_name(argument) for argument in arguments)
    if origin is tuple:
        inner = [type_name(argument) for argument in arguments if argument is not Ellipsis]
        return f"[{', '.join(inner)}{', …' if Ellipsis in arguments else ''}]"
    if origin is dict:
        return f"{{{type_name(arguments[0])}: {type_name(arguments[1])}}}"
    if annotation is type(None):
        return "null"
    if annotation is Any:
        return "any"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def json_text(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    if value is None:
        return "none"
    if isinstance(value, int) and any(getattr(one, "func", None) is parse_size for one in field.metadata):
        return f"`{_short_size(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _short_size(size: int) -> str:
    """``512m``, as it would be written in the file."""
    amount, unit = format_size(size).split()
    return f"{float(amount):g}{unit[0].lower()}"
