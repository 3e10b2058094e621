// Stores UVs with as few bits as the textures need. The UVs of a material become integers, and KHR_texture_transform maps
// them back, as in gltfpack. This also works for UVs that repeat a texture.

import { KHRTextureTransform } from '@gltf-transform/extensions';
import { TEXTURE_SLOTS, textureInfos } from './texture_transforms.mjs';

// UVs are rounded to this many steps per texel. Not tuned.
const STEPS_PER_TEXEL = 4;
const MIN_BITS = 8;
const MAX_BITS = 16;
const NORMAL_STEPS = 127; // normals are stored with 8 bits per component
const MIN_TEXTURE_PX = 64; // assumed for materials without textures
const MIN_EXTENT = 1e-6; // avoids division by zero for constant UVs

/** Round normals and UVs to the precision that will be stored, so that equal vertices merge. `maxSide` limits the sides of the textures, px; 0 means no limit. */
export function roundAttributes(document, maxSide) {
  for (const [primitive, material] of primitivesWithMaterials(document)) {
    const normal = primitive.getAttribute('NORMAL');
    if (normal) round(normal, NORMAL_STEPS);
    for (const semantic of primitive.listSemantics().filter((name) => name.startsWith('TEXCOORD'))) {
      round(primitive.getAttribute(semantic), STEPS_PER_TEXEL * textureSide(material, maxSide));
    }
  }
}

/** Convert UVs to integers if `integers` is set and their material allows it. Returns the number of bits that the other UVs need. */
export function quantizeUvs(document, maxSide, integers) {
  const { uvsByMaterial, materialsByUv } = uvUsers(document);
  let otherBits = MIN_BITS;
  for (const [material, uvs] of uvsByMaterial) {
    const infos = textureInfos(material);
    const isPlain = infos.every((info) => info.getTexCoord() === 0 && !info.getExtension('KHR_texture_transform'));
    const isExclusive = [...uvs].every((uv) => materialsByUv.get(uv).size === 1);
    const [low, size] = extentOf([...uvs]);
    const steps = STEPS_PER_TEXEL * textureSide(material, maxSide) * Math.max(...size);
    const bits = Math.min(MAX_BITS, Math.max(MIN_BITS, Math.ceil(Math.log2(steps))));
    if (!integers || !isPlain || !isExclusive || !infos.length || hasExtensionTextures(material)) {
      otherBits = Math.max(otherBits, bits);
      continue;
    }
    toIntegers(document, uvs, infos, { low, size, maximum: 2 ** bits - 1 });
  }
  return otherBits;
}

/** Return the UV accessors of each material, and the materials of each UV accessor. */
function uvUsers(document) {
  const uvsByMaterial = new Map();
  const materialsByUv = new Map();
  for (const [primitive, material] of primitivesWithMaterials(document)) {
    const uv = primitive.getAttribute('TEXCOORD_0');
    if (!uv || !material) continue;
    uvsByMaterial.set(material, new Set([...(uvsByMaterial.get(material) ?? []), uv]));
    materialsByUv.set(uv, new Set([...(materialsByUv.get(uv) ?? []), material]));
  }
  return { uvsByMaterial, materialsByUv };
}

function toIntegers(document, uvs, infos, { low, size, maximum }) {
  for (const uv of uvs) {
    uv.setArray(Uint16Array.from(uv.getArray(), (value, index) => Math.round(((value - low[index % 2]) / size[index % 2]) * maximum)));
  }
  const extension = document.createExtension(KHRTextureTransform).setRequired(true);
  const scale = size.map((side) => side / maximum);
  for (const info of infos) info.setExtension('KHR_texture_transform', extension.createTransform().setOffset(low).setScale(scale));
}

/** Return whether an extension of the material has textures. `toIntegers` would not transform their UVs. */
function hasExtensionTextures(material) {
  return material.listExtensions().some((extension) => extension.getGraph().listChildren(extension).some((child) => child.propertyType === 'Texture'));
}

function* primitivesWithMaterials(document) {
  const primitives = document.getRoot().listMeshes().flatMap((mesh) => mesh.listPrimitives());
  for (const primitive of primitives) yield [primitive, primitive.getMaterial()];
}

/** Return the longest side of the stored textures of a material, rounded up to a power of two. */
function textureSide(material, maxSide) {
  const textures = material ? TEXTURE_SLOTS.map((slot) => material[`get${slot}Texture`]()).filter(Boolean) : [];
  const longest = Math.max(MIN_TEXTURE_PX, ...textures.map((texture) => Math.max(...(texture.getSize() ?? [MIN_TEXTURE_PX]))));
  return 2 ** Math.ceil(Math.log2(maxSide ? Math.min(longest, maxSide) : longest));
}

/** Return the minimum and the extent of UVs along both axes. */
function extentOf(uvs) {
  const low = [0, 1].map((axis) => Math.min(...uvs.map((uv) => uv.getMin([])[axis])));
  const high = [0, 1].map((axis) => Math.max(...uvs.map((uv) => uv.getMax([])[axis])));
  return [low, [0, 1].map((axis) => Math.max(high[axis] - low[axis], MIN_EXTENT))];
}

function round(accessor, steps) {
  const values = accessor.getArray();
  if (values instanceof Float32Array) accessor.setArray(values.map((value) => Math.round(value * steps) / steps));
}
