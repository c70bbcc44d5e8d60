"""Modules in a row that pass values to each other by name: what a graph is made of."""

from dataclasses import dataclass

from torch import nn


@dataclass
class Part:
    """A module that reads and gives values by name; parts in a row make a graph."""

    name: str
    module: nn.Module
    inputs: list
    outputs: list


def run(parts, values):
    """Runs parts in a row on values by name, and adds what they give."""
    for part in parts:
        given = part.module(*(values[name] for name in part.inputs))
        values.update(zip(part.outputs, given if isinstance(given, tuple) else (given,)))
    return values
