// UVs in as few bits as the textures need: each material's UVs become integers that KHR_texture_transform takes back,
// as gltfpack does, also those that repeat a texture.

import { KHRTextureTransform } from '@gltf-transform/extensions';

const TEXEL_PART = 4; // UVs are kept to this part of a texel
const MIN_BITS = 8;
const SLOTS = ['BaseColor', 'Emissive', 'Normal', 'Occlusion', 'MetallicRoughness'];

/** Round what is kept of normals and UVs anyway, so that vertices that will be equal merge. `side` bounds textures. */
export function snap(document, side) {
  for (const [primitive, material] of primitives(document)) {
    const normal = primitive.getAttribute('NORMAL');
    if (normal) round(normal, 127); // they are stored in 8 bits a component
    for (const semantic of primitive.listSemantics().filter((one) => one.startsWith('TEXCOORD'))) {
      round(primitive.getAttribute(semantic), TEXEL_PART * texels(material, side));
    }
  }
}

/** Store UVs as integers where `integers` and a material allow it; returns the bits that the others need. */
export function fold(document, side, integers) {
  const byMaterial = new Map();
  const users = new Map();
  for (const [primitive, material] of primitives(document)) {
    const uv = primitive.getAttribute('TEXCOORD_0');
    if (!uv || !material) continue;
    byMaterial.set(material, new Set([...(byMaterial.get(material) ?? []), uv]));
    users.set(uv, new Set([...(users.get(uv) ?? []), material]));
  }
  let needed = MIN_BITS;
  for (const [material, uvs] of byMaterial) {
    const infos = SLOTS.filter((slot) => material[`get${slot}Texture`]()).map((slot) => material[`get${slot}TextureInfo`]());
    const plain = infos.every((one) => one.getTexCoord() === 0 && !one.getExtension('KHR_texture_transform'));
    const [low, size] = extent([...uvs]);
    const bits = Math.min(16, Math.max(MIN_BITS, Math.ceil(Math.log2(TEXEL_PART * texels(material, side) * Math.max(...size)))));
    const alone = [...uvs].every((uv) => users.get(uv).size === 1);
    if (!integers || !plain || !alone || !infos.length || hasOtherTextures(material)) {
      needed = Math.max(needed, bits);
      continue;
    }
    const steps = 2 ** bits - 1;
    for (const uv of uvs) {
      const values = uv.getArray();
      uv.setArray(Uint16Array.from(values, (value, index) => Math.round(((value - low[index % 2]) / size[index % 2]) * steps)));
    }
    const extension = document.createExtension(KHRTextureTransform).setRequired(true);
    const scale = size.map((one) => one / steps);
    for (const info of infos) info.setExtension('KHR_texture_transform', extension.createTransform().setOffset(low).setScale(scale));
  }
  return needed;
}

/** Whether an extension has textures, whose UVs would have to move too. */
function hasOtherTextures(material) {
  const own = new Set(SLOTS.map((slot) => material[`get${slot}Texture`]()));
  return material.listExtensions().some((extension) => extension.getGraph().listChildren(extension).some((one) => one.propertyType === 'Texture' && !own.has(one)))
    || material.listExtensions().some((extension) => extension.getGraph().listChildren(extension).some((one) => own.has(one)));
}

function* primitives(document) {
  for (const mesh of document.getRoot().listMeshes()) for (const primitive of mesh.listPrimitives()) yield [primitive, primitive.getMaterial()];
}

/** The longest side of a material's textures as they will be stored. */
function texels(material, side) {
  const textures = material ? SLOTS.map((slot) => material[`get${slot}Texture`]()).filter(Boolean) : [];
  const longest = Math.max(64, ...textures.map((one) => Math.max(...(one.getSize() ?? [64]))));
  return 2 ** Math.ceil(Math.log2(side ? Math.min(longest, side) : longest));
}

function extent(uvs) {
  const [low, high] = [[Infinity, Infinity], [-Infinity, -Infinity]];
  for (const uv of uvs) {
    const values = uv.getArray();
    for (let index = 0; index < values.length; index++) {
      low[index % 2] = Math.min(low[index % 2], values[index]);
      high[index % 2] = Math.max(high[index % 2], values[index]);
    }
  }
  return [low, [0, 1].map((axis) => Math.max(high[axis] - low[axis], 1e-6))];
}

function round(accessor, steps) {
  const values = accessor.getArray();
  if (values instanceof Float32Array) accessor.setArray(values.map((one) => Math.round(one * steps) / steps));
}
