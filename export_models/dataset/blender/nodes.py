"""Blender script: a builder for the node trees of materials."""

from __future__ import annotations

from typing import Any

import bpy


class Nodes:
    """Builds the node tree of a new material. Every method adds nodes and returns their output socket.

    An input is a constant or the output socket of another node.
    """

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()

    def add(self, kind: str, output: int | str = 0, inputs: dict[Any, Any] | None = None, **settings: Any) -> Any:
        """Add a node.

        Args:
            kind: identifier of the node type, such as ``ShaderNodeMath``.
            output: index or name of the output socket to return.
            inputs: values by index or name of the input socket.
            settings: properties of the node.

        Returns:
            The output socket, or the node itself if it has no outputs.
        """
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        for key, value in (inputs or {}).items():
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, node.inputs[key])
            elif node.inputs[key].type == "RGBA" and len(value) == 3:
                node.inputs[key].default_value = (*value, 1.0)
            else:
                node.inputs[key].default_value = value
        return node.outputs[output] if node.outputs else node

    def math(self, operation: str, a: Any, b: Any = 0.0) -> Any:
        """Apply a scalar operation, such as ``ADD``."""
        return self.add("ShaderNodeMath", inputs={0: a, 1: b}, operation=operation)

    def vector(self, operation: str, a: Any, b: Any) -> Any:
        """Apply a vector operation, such as ``ADD``."""
        return self.add("ShaderNodeVectorMath", inputs={0: a, 1: b}, operation=operation)

    def scaled(self, vector: Any, factor: Any) -> Any:
        """Multiply a vector or colour by ``factor``, which must be an output socket, not a constant."""
        output = self.add("ShaderNodeVectorMath", inputs={0: vector}, operation="SCALE")
        self.tree.links.new(factor, output.node.inputs["Scale"])
        return output

    def noise(self, position: Any, frequency: tuple[float, float, float], detail: float = 2.0) -> Any:
        """Return noise in [0, 1] with ``frequency`` features per metre along each axis."""
        scaled = self.vector("MULTIPLY", position, frequency)
        return self.add("ShaderNodeTexNoise", "Fac", {"Vector": scaled, "Scale": 1.0, "Detail": detail})

    def map_range(self, value: Any, low: float, high: float) -> Any:
        """Map [0, 1] to [low, high]."""
        return self.add("ShaderNodeMapRange", inputs={0: value, 3: low, 4: high})

    def mix(self, share: Any, a: Any, b: Any) -> Any:
        """Blend the colours ``a`` (share 0) and ``b`` (share 1)."""
        return self.add("ShaderNodeMix", 2, {0: share, 6: a, 7: b}, data_type="RGBA", blend_type="MIX")

    def separate_xyz(self, vector: Any) -> tuple[Any, Any, Any]:
        """Return the components of a vector."""
        output = self.add("ShaderNodeSeparateXYZ", inputs={0: vector})
        return output.node.outputs[0], output.node.outputs[1], output.node.outputs[2]
