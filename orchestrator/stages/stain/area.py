"""The area to stain: the wood, limited to parts and corrected where the caller edited masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.made_of import MadeOf, PartMaterial
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging.refine import mask_from_likelihood
from orchestrator.stages.known_materials import at_model_resolution, known_materials, part_likelihood

EDITED_WOOD = "wood that the caller marked"
EDITED_OTHER = "what the caller excluded"
"""Names of the edited areas among those of the parts, for ``known_materials``."""


@dataclass(frozen=True)
class EditedPart:
    """The mask of a part, or of the whole piece, before and after an edit."""

    material: str  # of the part; empty for the whole piece
    before: Image  # [H, W] uint8, 255 inside
    after: Image  # [H, W] uint8


@dataclass(frozen=True)
class StainArea:
    """What the caller states about pixels. Each image is [H, W] uint8 at the resolution of the photo, or None."""

    only: Image | None = None  # 255 where the photo may be stained; None: everywhere
    all_wood: Image | None = None  # 255 where it is wood, instead of what the models find
    wood: Image | None = None  # 255 where it is wood in addition
    not_wood: Image | None = None  # 255 where it is not wood

    @property
    def is_everywhere(self) -> bool:
        """Whether the caller stated nothing."""
        return all(image is None for image in (self.only, self.all_wood, self.wood, self.not_wood))

    def corrected(self, wood: Image) -> Image:
        """Return the [H, W] uint8 mask of the wood with the edits of the caller."""
        if self.wood is not None:
            wood = np.maximum(wood, self.wood)
        return wood if self.not_wood is None else np.minimum(wood, ~self.not_wood)

    def limited(self, wood: Image) -> Image:
        """Return the part of the [H, W] uint8 mask of the wood that may be stained."""
        return wood if self.only is None else np.minimum(wood, self.only)


EVERYWHERE = StainArea()


def area_of_edits(edits: Iterable[EditedPart], parts: Image) -> StainArea:
    """Return the pixels that edits of masks add to wood or exclude from it.

    What was added to a part has the material of the part. If two edits add the same pixel, the later one applies. What
    was removed from the piece, or from a part and is in no other part, is not wood.

    Args:
        edits: in the order of the request.
        parts: [H, W] uint8 mask of all parts after the edits.
    """
    wood: Image | None = None
    not_wood: Image | None = None
    for edit in edits:
        if wood is None or not_wood is None:
            wood, not_wood = np.zeros_like(edit.after), np.zeros_like(edit.after)
        before, after = edit.before > 127, edit.after > 127
        removed, added = before & ~after, after & ~before
        if not edit.material:
            not_wood[removed] = 255
        else:
            not_wood[removed & (parts <= 127)] = 255
            wood[added] = 255 if edit.material == "wood" else 0
            not_wood[added] = 0 if edit.material == "wood" else 255
    return StainArea(wood=wood, not_wood=not_wood)


def area_of_parts(photo_srgb: Image, maps: MaterialMaps, parts: Sequence[str]) -> Image:
    """Return the [H, W] uint8 mask of the named parts, as the models find them in the [H, W, 3] uint8 photo."""
    return mask_from_likelihood(photo_srgb, part_likelihood(maps, parts))


def known_wood(maps: MaterialMaps, made_of: MadeOf, parts: Mapping[str, Image], area: StainArea) -> MaterialMaps:
    """Return the maps with what the caller states about materials.

    Args:
        maps: outputs of the models.
        made_of: the materials of the piece and of parts.
        parts: [H, W] uint8 masks of parts by name, which replace those that the models find.
        area: the areas that edits add to wood or exclude from it.
    """
    masks = {name: at_model_resolution(mask, maps) for name, mask in parts.items()}
    wood, not_wood = area.wood, area.not_wood
    if area.all_wood is not None:
        wood, not_wood = area.all_wood, ~area.all_wood
    for name, material, mask in ((EDITED_WOOD, "wood", wood), (EDITED_OTHER, "other", not_wood)):
        if mask is not None:
            made_of = (*made_of, PartMaterial(material, name))
            masks[name] = at_model_resolution(mask, maps)
    return known_materials(maps, made_of, masks)


def full_size_mask(photo_srgb: Image, wood: FloatMap | Image) -> Image:
    """Return the [H, W] uint8 mask of the wood: the mask itself, or the one of the [h, w] probability of wood."""
    if wood.dtype == np.uint8:
        return np.asarray(wood, np.uint8)
    return mask_from_likelihood(photo_srgb, np.asarray(wood, np.float32))
