"""OpenAPI of answers that are msgspec structs: the docstrings of classes and fields are their descriptions."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import get_args, get_type_hints

import msgspec
from fastapi import FastAPI
from msgspec import UNSET, Struct
from msgspec.structs import fields

from data_collector.web.answers import Answer, Problem

_REFERENCE = "#/components/schemas/{name}"

_described: set[type[Struct]] = set()
"""What routes answer. Their schemas are made when a document is first asked for: most processes make none."""


def described(answer: type[Struct], description: str = "Successful Response", *or_texts: str) -> dict[str, object]:
    """For `responses` of a route: its answer is the JSON of such a struct, or a text of one of these media types."""
    _described.add(answer)
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(name=answer.__name__)}}}
    texts = {media_type: {"schema": {"type": "string"}} for media_type in or_texts}
    return {"description": description, "content": content | texts}


TOO_MANY = described(Problem, "Too many requests; see Retry-After.")
INVALID = described(Problem, "A parameter is wrong; the sentence names it")


class DescribedApp(FastAPI):
    """An application whose OpenAPI document has the structs that its routes describe."""

    def openapi(self) -> dict[str, object]:
        """The document, made once."""
        if self.openapi_schema is None:
            parts = super().openapi().setdefault("components", {})
            parts["schemas"] = {**parts.get("schemas", {}), **_schemas()}
        assert self.openapi_schema is not None, "just made"
        return self.openapi_schema


def _schemas() -> dict[str, dict[str, object]]:
    structs = sorted({each for answer in _described for each in _structs_in(answer)}, key=lambda each: each.__name__)
    _, schemas = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    for struct in structs:
        schema = schemas[struct.__name__]
        for name, text in _field_texts(struct).items():
            schema["properties"][name]["description"] = text
        # Whatever a struct is made with, its answer has every field, but for those that are there when asked for.
        schema["required"] = [field.encode_name for field in fields(struct) if field.default is not UNSET]
        for field in schema["properties"].values():
            field.pop("default", None)
        if issubclass(struct, Answer) and struct.example:
            schema["examples"] = [struct.example]
    return schemas


def _structs_in(hint: object) -> Iterator[type[Struct]]:
    """The structs that a type consists of, itself included."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        yield hint
        hints = get_type_hints(hint)
        for name in hint.__struct_fields__:
            yield from _structs_in(hints[name])
    for part in get_args(hint):
        yield from _structs_in(part)


def _field_texts(struct: type[Struct]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for each in reversed(struct.__mro__):
        texts |= _texts_of_module(each.__module__).get(each.__name__, {})
    return {name: text for name, text in texts.items() if name in struct.__struct_fields__}


@cache
def _texts_of_module(module: str) -> dict[str, dict[str, str]]:
    """Class to field to what its docstring says; Python itself keeps none of fields."""
    if not module.startswith(__name__.partition(".")[0]):
        return {}
    classes = (
        each for each in ast.parse(inspect.getsource(sys.modules[module])).body if isinstance(each, ast.ClassDef)
    )
    return {each.name: dict(_texts_of_class(each)) for each in classes}


def _texts_of_class(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for pair in pairwise(node.body):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
