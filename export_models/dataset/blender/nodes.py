"""Blender side: short words for building a material that also writes its truth (albedo, roughness) as AOVs."""

from __future__ import annotations

from typing import Any

import bpy


class Nodes:
    """Short words for building a node tree; every method returns the output socket."""

    def __init__(self, name: str) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()

    def add(self, kind: str, output: int | str = 0, inputs: dict[Any, Any] | None = None, **settings: Any) -> Any:
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
        return self.add("ShaderNodeMath", inputs={0: a, 1: b}, operation=operation)

    def vector(self, operation: str, a: Any, b: Any) -> Any:
        return self.add("ShaderNodeVectorMath", inputs={0: a, 1: b}, operation=operation)

    def noise(self, place: Any, stretch: tuple[float, float, float], detail: float = 2.0) -> Any:
        """Noise in [0, 1] with ``stretch`` features a metre along, across and through the board."""
        scaled = self.vector("MULTIPLY", place, stretch)
        return self.add("ShaderNodeTexNoise", "Fac", {"Vector": scaled, "Scale": 1.0, "Detail": detail})

    def between(self, value: Any, low: float, high: float) -> Any:
        """Map [0, 1] to [low, high]."""
        return self.add("ShaderNodeMapRange", inputs={0: value, 3: low, 4: high})

    def mix(self, share: Any, a: Any, b: Any, blend: str = "MIX") -> Any:
        return self.add("ShaderNodeMix", 2, {0: share, 6: a, 7: b}, data_type="RGBA", blend_type=blend)

    def xyz(self, vector: Any) -> tuple[Any, Any, Any]:
        out = self.add("ShaderNodeSeparateXYZ", inputs={0: vector})
        return out.node.outputs[0], out.node.outputs[1], out.node.outputs[2]
