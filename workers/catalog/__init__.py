"""The catalogue: every model that the network computes. A module here that names a ``MODEL`` is an entry."""

from importlib import import_module
from pkgutil import iter_modules

from workers.catalog.base import CatalogModel

MODELS: dict[str, CatalogModel] = {
    module.MODEL.name: module.MODEL
    for module in (import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__))
    if hasattr(module, "MODEL")
}
