// KHR_texture_transform → plain UVs, where all textures of a material share one transform. Few exporters keep the extension.

const SLOTS = ['BaseColor', 'Emissive', 'Normal', 'Occlusion', 'MetallicRoughness'];

export function bakeTextureTransforms(document) {
  for (const material of document.getRoot().listMaterials()) {
    const infos = SLOTS.filter((slot) => material[`get${slot}Texture`]()).map((slot) => material[`get${slot}TextureInfo`]());
    const transforms = infos.map((info) => info.getExtension('KHR_texture_transform'));
    const described = transforms.map((one, index) => JSON.stringify(one && [one.getOffset(), one.getRotation(), one.getScale(), one.getTexCoord() ?? infos[index].getTexCoord()]));
    // A material with more textures (clearcoat, sheen …) keeps the extension: those may share the UVs untransformed.
    if (!transforms[0] || new Set(described).size > 1 || material.listExtensions().length) continue;
    const [transform, set] = [transforms[0], transforms[0].getTexCoord() ?? infos[0].getTexCoord()];
    for (const primitive of material.listParents().filter((one) => one.propertyType === 'Primitive')) {
      const uv = primitive.getAttribute(`TEXCOORD_${set}`);
      if (uv) primitive.setAttribute(`TEXCOORD_${set}`, moved(uv.clone(), transform));
    }
    for (const info of infos) info.setTexCoord(set).setExtension('KHR_texture_transform', null);
  }
  const left = document.getRoot().listExtensionsUsed().find((one) => one.extensionName === 'KHR_texture_transform');
  if (left && !left.listProperties().some((one) => one.listParents().some((parent) => parent.propertyType === 'TextureInfo'))) left.dispose();
}

/** As the extension says: translation × rotation × scale; rotation counter-clockwise around the UV origin. */
function moved(uv, transform) {
  const [[du, dv], angle, [su, sv]] = [transform.getOffset(), transform.getRotation(), transform.getScale()];
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  const plain = new Float32Array(uv.getCount() * 2);
  const value = [];
  for (let index = 0; index < uv.getCount(); index++) {
    const [u, v] = uv.getElement(index, value);
    plain[2 * index] = cosine * su * u + sine * sv * v + du;
    plain[2 * index + 1] = -sine * su * u + cosine * sv * v + dv;
  }
  return uv.setNormalized(false).setArray(plain);
}
