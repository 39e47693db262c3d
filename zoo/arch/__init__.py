"""The architecture language: operators, graph, spec, builder, cost. Imports no framework."""

from zoo.arch.cost import Cost, NodeCost, cost
from zoo.arch.features import Feature
from zoo.arch.graph import INPUT, Graph, Node
from zoo.arch.operator import Operator, Parameter, Shape, Traits
from zoo.arch.spec import Conventions, Spec

__all__ = [
    "INPUT",
    "Conventions",
    "Cost",
    "Feature",
    "Graph",
    "Node",
    "NodeCost",
    "Operator",
    "Parameter",
    "Shape",
    "Spec",
    "Traits",
    "cost",
]
