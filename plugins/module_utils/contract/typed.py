"""Writes dataclasses as plain data for JSON, and reads them back: each value must be of its field's type."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Misfit(ValueError):
    """Data that is not what the contract says; the text names the key, and what is wrong with it."""


LATER: Mapping[str, bool] = {"later": True}
"""Metadata of a field that came later: plain data lacks it at its default, so that what was written before stays equal."""


def written_as(key: str) -> Mapping[str, str]:
    """Metadata of a field with another name in plain data, which hosts and users have from earlier kits."""
    return {"key": key}


def _key(field: dataclasses.Field[Any]) -> str:
    key: str = field.metadata.get("key", field.name)
    return key


def plain(value: Any) -> dict[str, Any]:
    """A dataclass, and all in it, as mappings, lists and scalars."""
    return {
        _key(field): _plain(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if not (field.metadata.get("later") and getattr(value, field.name) == field.default)
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return plain(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    return value


def check_schema(data: Any, known: Sequence[int]) -> int:
    """The number of the schema by which `data` was written.

    Raises:
        Misfit: this Slipway does not read it.
    """
    if not isinstance(data, Mapping):
        raise Misfit("it is no mapping")
    schema = data.get("schema")
    if not isinstance(schema, int) or schema not in known:
        raise Misfit(f"schema {schema}, this Slipway reads {' and '.join(map(str, known))}")
    return schema


def read(kind: type[T], data: Any, at: str = "") -> T:
    """The dataclass `kind` from plain data. Keys that it does not have are left out.

    Args:
        kind: the dataclass.
        data: a mapping, as `plain` makes it.
        at: where it stands, for messages.

    Raises:
        Misfit: a key is missing or has another type.
    """
    if not isinstance(data, Mapping):
        raise Misfit(f"{at or 'it'} is no mapping")
    prefix = f"{at}." if at else ""
    hints = _hints(typing.cast(typing.Hashable, kind))
    values = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type] # mypy knows no type for "a dataclass"
        key = _key(field)
        if key in data:
            values[field.name] = _value(hints[field.name], data[key], f"{prefix}{key}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise Misfit(f"the key '{prefix}{key}' is missing")
    return kind(**values)


def prepare(kind: type) -> None:
    """Look up the types of a dataclass's fields, and of those in it, before `read` needs them."""
    due = list(_hints(kind).values())
    while due:
        hint = due.pop()
        is_one = isinstance(hint, type) and dataclasses.is_dataclass(hint)
        due += _hints(hint).values() if is_one else typing.get_args(hint)


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, value: Any, at: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        [hint] = [one for one in inner if one is not type(None)]
        return _value(hint, value, at)
    if origin is tuple:
        return _tuple(inner, value, at)
    if dataclasses.is_dataclass(hint):
        return read(typing.cast(type, hint), value, at)
    if origin is not None:
        if not isinstance(value, Mapping):
            raise Misfit(f"{at} is no mapping")
        return {_value(inner[0], key, at): _value(inner[1], item, f"{at}.{key}") for key, item in value.items()}
    kinds: tuple[type, ...] = (int, float) if hint is float else (hint,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and hint is not bool):
        raise Misfit(f"{at} is {type(value).__name__}, not {hint.__name__}")
    return value


def _tuple(inner: tuple[Any, ...], value: Any, at: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise Misfit(f"{at} is no list")
    hints = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
    if len(hints) != len(value):
        raise Misfit(f"{at} has {len(value)} items, not {len(hints)}")
    return tuple(
        _value(hint, item, f"{at}[{number}]") for number, (hint, item) in enumerate(zip(hints, value, strict=True))
    )
