"""OpenVINO: another run-time for what `backends.onnx` writes."""

from backends.onnx.model import freeze
from backends.onnx.parameters import get_parameters, graph_of, set_parameters
from backends.onnx.run import DTYPES, FUSED, LEVELS, predict
from backends.openvino.about import describe
from backends.openvino.model import Model, build, is_model
from backends.openvino.run import forward
