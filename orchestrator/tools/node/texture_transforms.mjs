// Applies KHR_texture_transform to the UVs of materials whose textures all have the same transform, because few programs
// support the extension.

export const TEXTURE_SLOTS = ['BaseColor', 'Emissive', 'Normal', 'Occlusion', 'MetallicRoughness'];

/** Return the TextureInfo (transform and UV set) of each texture of a material. */
export function textureInfos(material) {
  return TEXTURE_SLOTS.filter((slot) => material[`get${slot}Texture`]()).map((slot) => material[`get${slot}TextureInfo`]());
}

export function bakeTextureTransforms(document) {
  for (const material of document.getRoot().listMaterials()) {
    const infos = textureInfos(material);
    const transforms = infos.map((info) => info.getExtension('KHR_texture_transform'));
    const keys = transforms.map((transform, index) => JSON.stringify(transform && [
      transform.getOffset(), transform.getRotation(), transform.getScale(), transform.getTexCoord() ?? infos[index].getTexCoord(),
    ]));
    // The textures of material extensions (clearcoat, sheen …) may use the same UVs without a transform.
    if (!transforms[0] || new Set(keys).size > 1 || material.listExtensions().length) continue;
    const transform = transforms[0];
    const set = transform.getTexCoord() ?? infos[0].getTexCoord();
    for (const primitive of material.listParents().filter((parent) => parent.propertyType === 'Primitive')) {
      const uv = primitive.getAttribute(`TEXCOORD_${set}`);
      if (uv) primitive.setAttribute(`TEXCOORD_${set}`, transformUvs(uv.clone(), transform));
    }
    for (const info of infos) info.setTexCoord(set).setExtension('KHR_texture_transform', null);
  }
  removeUnusedExtension(document);
}

function removeUnusedExtension(document) {
  const extension = document.getRoot().listExtensionsUsed().find((used) => used.extensionName === 'KHR_texture_transform');
  const isUsed = extension?.listProperties().some((property) => property.listParents().some((parent) => parent.propertyType === 'TextureInfo'));
  if (extension && !isUsed) extension.dispose();
}

/** Apply translation × rotation × scale, as the extension defines. The rotation is counter-clockwise around the UV origin. */
function transformUvs(uv, transform) {
  const [[offsetU, offsetV], angle, [scaleU, scaleV]] = [transform.getOffset(), transform.getRotation(), transform.getScale()];
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  const transformed = new Float32Array(uv.getCount() * 2);
  const value = [];
  for (let index = 0; index < uv.getCount(); index++) {
    const [u, v] = uv.getElement(index, value);
    transformed[2 * index] = cosine * scaleU * u + sine * scaleV * v + offsetU;
    transformed[2 * index + 1] = -sine * scaleU * u + cosine * scaleV * v + offsetV;
  }
  return uv.setNormalized(false).setArray(transformed);
}
