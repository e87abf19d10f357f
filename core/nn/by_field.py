"""Modules by field name. A field may be called as a method of nn.ModuleDict is ("values", "type", "keys")."""

from torch import nn


class ByField(nn.ModuleDict):
    """An nn.ModuleDict that takes any field name; parameters are named as usual, reach modules by `modules[name]`."""

    def __setitem__(self, key: str, module: nn.Module) -> None:
        self._modules[key] = module  # add_module refuses names that are attributes already
