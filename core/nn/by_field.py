"""Modules by field name. A field may be called as a method of nn.ModuleDict is ("values", "type", "keys")."""

from __future__ import annotations

from collections.abc import ItemsView, KeysView
from typing import Any

from torch import nn


class ByField(nn.ModuleDict):
    """An nn.ModuleDict that takes any field name.

    Where the name is that of a method, the module's attribute, and so its parameters' names, end in an underscore:
    what walks through modules by attribute finds the module and not the method.
    """

    def __setitem__(self, key: str, module: nn.Module) -> None:
        super().__setitem__(attribute_of(key), module)

    def __getitem__(self, key: str) -> nn.Module:
        return super().__getitem__(attribute_of(key))

    def __contains__(self, key: object) -> bool:
        return super().__contains__(attribute_of(str(key)))

    def keys(self) -> KeysView[str]:
        return self._by_name().keys()

    def items(self) -> ItemsView[str, nn.Module]:
        return self._by_name().items()

    def __iter__(self) -> Any:
        return iter(self._by_name())

    def _by_name(self) -> dict[str, nn.Module]:
        return {_field(name): module for name, module in self._modules.items() if module is not None}


def attribute_of(field: str) -> str:
    """What the parameters of the field's module are called by."""
    return f"{field}_" if hasattr(nn.ModuleDict, field) else field


def _field(attribute: str) -> str:
    field = attribute.removesuffix("_")
    return field if attribute_of(field) == attribute else attribute
