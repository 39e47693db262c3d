"""The networks: a file for each family, loaded when one of its networks is asked for."""

from zoo.families.registry import (
    base_model,
    list_models,
    model_name,
    overridable,
    spec,
    spec_from_json,
)

__all__ = [
    "base_model",
    "list_models",
    "model_name",
    "overridable",
    "spec",
    "spec_from_json",
]
