"""Efficient vision networks from one spec, native in PyTorch and MindSpore, proven equal.

    model = zoo.create("shufflenet_v1_1.0x_g3", backend="torch")
    report = zoo.parity("shufflenet_v1_1.0x_g3", backends=["torch", "mindspore"], level="training")

The names below are loaded when they are first used, so that ``import zoo`` costs nothing and
imports no framework.
"""

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weights import Checkpoint as Checkpoint
    from weights import load_weights as load_weights
    from weights.pretrained import Preprocessing as Preprocessing
    from zoo.adopting import Adopted as Adopted
    from zoo.adopting import adopt as adopt
    from zoo.arch import Cost as Cost
    from zoo.arch import Graph as Graph
    from zoo.arch import Spec as Spec
    from zoo.bench.measurement import Measurement as Measurement
    from zoo.bench.report import BenchmarkReport as BenchmarkReport
    from zoo.bench.run import benchmark as benchmark
    from zoo.conversion import Conversion as Conversion
    from zoo.conversion import convert as convert
    from zoo.data import Dataset as Dataset
    from zoo.data import mean_and_std as mean_and_std
    from zoo.data import open_dataset as open_dataset
    from zoo.doctor.diagnose import diagnose as diagnose
    from zoo.doctor.report import Diagnosis as Diagnosis
    from zoo.errors import AdoptionError as AdoptionError
    from zoo.errors import BackendNotInstalledError as BackendNotInstalledError
    from zoo.errors import ConventionError as ConventionError
    from zoo.errors import ExportError as ExportError
    from zoo.errors import GraphError as GraphError
    from zoo.errors import InputError as InputError
    from zoo.errors import NotInstalledError as NotInstalledError
    from zoo.errors import OutputError as OutputError
    from zoo.errors import ShadowedError as ShadowedError
    from zoo.errors import SpecError as SpecError
    from zoo.errors import TrainingError as TrainingError
    from zoo.errors import UnknownNameError as UnknownNameError
    from zoo.errors import WeightsError as WeightsError
    from zoo.errors import ZooError as ZooError
    from zoo.evaluation import Agreement as Agreement
    from zoo.evaluation import Evaluation as Evaluation
    from zoo.evaluation import Predictions as Predictions
    from zoo.evaluation import compare as compare
    from zoo.evaluation import evaluate as evaluate
    from zoo.evaluation import predict as predict
    from zoo.exporting import Export as Export
    from zoo.exporting import export as export
    from zoo.exporting import open_exported as open_exported
    from zoo.families import list_models as list_models
    from zoo.families import spec as spec
    from zoo.families import spec_from_json as spec_from_json
    from zoo.live import get_weights as get_weights
    from zoo.live import set_weights as set_weights
    from zoo.models import cost as cost
    from zoo.models import create as create
    from zoo.models import load as load
    from zoo.models import save as save
    from zoo.porting import Port as Port
    from zoo.porting import port as port
    from zoo.proof import Finding as Finding
    from zoo.proof import ParityReport as ParityReport
    from zoo.proof import parity as parity
    from zoo.publishing import push_to_hub as push_to_hub
    from zoo.quantization.quantize import quantize as quantize
    from zoo.quantization.report import QuantizationReport as QuantizationReport
    from zoo.recipes import Recipe as Recipe
    from zoo.recipes import list_recipes as list_recipes
    from zoo.recipes import recipe as recipe
    from zoo.reporting.page import report as report
    from zoo.sources import write_source as write_source
    from zoo.training import Run as Run
    from zoo.training import open_run as open_run
    from zoo.training import resume as resume
    from zoo.training import train as train
    from zoo.transforming import PictureTransform as PictureTransform
    from zoo.transforming import transforms as transforms

__version__ = "0.1.0"

_HOMES = {
    "zoo.adopting": ("Adopted", "adopt"),
    "zoo.arch": ("Cost", "Graph", "Spec"),
    "zoo.bench.measurement": ("Measurement",),
    "zoo.bench.report": ("BenchmarkReport",),
    "zoo.bench.run": ("benchmark",),
    "zoo.conversion": ("Conversion", "convert"),
    "zoo.data": ("Dataset", "mean_and_std", "open_dataset"),
    "zoo.doctor.diagnose": ("diagnose",),
    "zoo.doctor.report": ("Diagnosis",),
    "zoo.errors": (
        "AdoptionError",
        "BackendNotInstalledError",
        "ConventionError",
        "ExportError",
        "GraphError",
        "InputError",
        "NotInstalledError",
        "OutputError",
        "ShadowedError",
        "SpecError",
        "TrainingError",
        "UnknownNameError",
        "WeightsError",
        "ZooError",
    ),
    "zoo.evaluation": (
        "Agreement",
        "Evaluation",
        "Predictions",
        "compare",
        "evaluate",
        "predict",
    ),
    "zoo.exporting": ("Export", "export", "open_exported"),
    "zoo.families": ("list_models", "spec", "spec_from_json"),
    "zoo.live": ("get_weights", "set_weights"),
    "zoo.models": ("cost", "create", "load", "save"),
    "zoo.proof": ("Finding", "ParityReport", "parity"),
    "zoo.porting": ("Port", "port"),
    "zoo.publishing": ("push_to_hub",),
    "zoo.quantization.quantize": ("quantize",),
    "zoo.quantization.report": ("QuantizationReport",),
    "zoo.recipes": ("Recipe", "list_recipes", "recipe"),
    "zoo.reporting.page": ("report",),
    "zoo.sources": ("write_source",),
    "zoo.training": ("Run", "open_run", "resume", "train"),
    "zoo.transforming": ("PictureTransform", "transforms"),
    "weights": ("Checkpoint", "load_weights"),
    "weights.pretrained": ("Preprocessing",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)


def _require_own(*names: str) -> None:
    """Raise `ShadowedError` where a user's module would be taken for one of our packages."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for name in names:
        own = os.path.join(home, name, "__init__")
        loaded = sys.modules.get(name)
        spec = getattr(loaded, "__spec__", None) if loaded else importlib.util.find_spec(name)
        if spec is None:
            continue  # whoever imports it is told
        # A folder without an __init__.py has no origin.
        found = spec.origin or next(iter(spec.submodule_search_locations or ()), name)
        if os.path.realpath(os.path.splitext(found)[0]) != os.path.realpath(own):
            from zoo.errors import ShadowedError

            raise ShadowedError(
                f"{found} is found in the place of parity-zoo's package {name!r} "
                f"({os.path.dirname(own)}): rename it, or take its folder out of sys.path"
            )


_require_own("weights", "backends")


if not TYPE_CHECKING:  # to type checkers, any name at all would be one of ours

    def __getattr__(name: str) -> Any:
        if name not in _HOME_OF:
            raise AttributeError(f"module 'zoo' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
