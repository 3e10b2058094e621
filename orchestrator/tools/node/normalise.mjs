// Writes any glTF as a base GLB: one scene of triangle meshes in metres without node transforms, with the origin at the
// bottom centre, unit normals, and PNG and JPEG textures. Materials without transparency are opaque.

import { dedup, dequantize, metalRough, prune, uninstance, weld } from '@gltf-transform/functions';
import { PropertyType } from '@gltf-transform/core';
import { InvalidInput, countTriangles, defaultScene, exactBounds, openIO, placedMeshes, progress, readDocument, removeCompression, run } from './document.mjs';
import { bakeTransforms, cleanPrimitives } from './geometry.mjs';
import { decodeTextures, isTransparent } from './textures.mjs';
import { bakeTextureTransforms } from './texture_transforms.mjs';

// Maximum ratio between the scales that two given dimensions imply.
const SHAPE_TOLERANCE = 1.05;
// Vertex colours of at least this alpha are opaque: 254 and 255 of 255.
const OPAQUE_ALPHA = 0.996;
const DIMENSIONS = ['width_m', 'height_m', 'depth_m'];
const REMOVED_EXTENSIONS = ['KHR_lights_punctual', 'KHR_xmp_json_ld', 'EXT_mesh_gpu_instancing'];

await run(async (job) => {
  const io = await openIO();
  const notes = [];
  progress(0.05, 'reading the 3D model');
  const document = await readDocument(io, job.source);
  removeCompression(document);
  await removeUnusedParts(document, notes);
  await document.transform(dequantize(), metalRough());
  progress(0.3, 'cleaning the geometry');
  bakeTransforms(document);
  cleanPrimitives(document, notes);
  if (!countTriangles(document)) throw new InvalidInput('model', 'it has no triangles');
  progress(0.5, 'reading the textures');
  await decodeTextures(document, notes);
  bakeTextureTransforms(document);
  await makeOpaque(document, notes);
  placeMeshes(document, job);
  progress(0.8, 'writing the base GLB');
  await document.transform(
    weld({ cleanup: false }),
    dedup({ keepUniqueNames: true }),
    prune({ keepAttributes: true, keepSolidTextures: true, keepLeaves: false, keepExtras: false }),
  );
  makeNamesUnique(document);
  document.getRoot().getAsset().generator = 'Heartwood';
  await io.write(job.target, document);
  return { notes };
});

/** Keep one scene, without animations, skeletons, cameras, lights and instancing. */
async function removeUnusedParts(document, notes) {
  const root = document.getRoot();
  const scene = defaultScene(document);
  if (!scene) throw new InvalidInput('model', 'it has no scene');
  for (const other of root.listScenes()) if (other !== scene) other.dispose();
  root.setDefaultScene(scene);
  await document.transform(uninstance());
  const animations = root.listAnimations();
  if (animations.length) notes.push(`${animations.length} animations were removed; the files show the piece at rest`);
  for (const animation of animations) animation.dispose();
  if (root.listSkins().length) notes.push('the skeleton was removed; the mesh keeps the shape in which it was modelled');
  for (const skin of root.listSkins()) skin.dispose();
  for (const camera of root.listCameras()) camera.dispose();
  for (const extension of root.listExtensionsUsed()) if (REMOVED_EXTENSIONS.includes(extension.extensionName)) extension.dispose();
}

/** Make materials without any transparent pixel or vertex opaque, because viewers must sort transparent surfaces. */
async function makeOpaque(document, notes) {
  for (const material of document.getRoot().listMaterials()) {
    if (material.getAlphaMode() === 'OPAQUE' || material.getAlpha() < 1) continue;
    const texture = material.getBaseColorTexture();
    if (texture && (await isTransparent(texture.getImage()))) continue;
    const primitives = material.listParents().filter((parent) => parent.propertyType === PropertyType.PRIMITIVE);
    if (primitives.some(hasTransparentVertices)) continue;
    material.setAlphaMode('OPAQUE');
    notes.push(`material ${JSON.stringify(material.getName())} was made opaque; nothing in it is transparent`);
  }
}

function hasTransparentVertices(primitive) {
  const color = primitive.getAttribute('COLOR_0');
  if (!color || color.getElementSize() < 4) return false;
  const value = [];
  for (let index = 0; index < color.getCount(); index++) if (color.getElement(index, value)[3] < OPAQUE_ALPHA) return true;
  return false;
}

/** If `job.place` is set, scale to the given dimensions and move the bottom centre to the origin. */
function placeMeshes(document, job) {
  const { low, high } = exactBounds(document);
  const size = [0, 1, 2].map((axis) => high[axis] - low[axis]);
  const scale = findScale(size, job);
  if (!job.place) return;
  const bottomCentre = [(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2];
  for (const [, mesh] of placedMeshes(document)) {
    for (const primitive of mesh.listPrimitives()) {
      const positions = primitive.getAttribute('POSITION').getArray();
      for (let index = 0; index < positions.length; index++) positions[index] = (positions[index] - bottomCentre[index % 3]) * scale;
    }
  }
}

/** Return the scale that the given dimensions imply, or 1 if there are none. Throws InvalidInput if they do not fit the model. */
function findScale(size, job) {
  const given = [0, 1, 2].filter((axis) => job.dimensions[axis] > 0);
  const sizeText = `${size.map((side) => side.toPrecision(3)).join(' × ')} (width × height × depth)`;
  for (const axis of given) {
    if (size[axis] <= 0) throw new InvalidInput(`export.dimensions.${DIMENSIONS[axis]}`, `it is ${job.dimensions[axis]}, but the 3D model is flat along this axis: ${sizeText}`);
  }
  const scales = given.map((axis) => job.dimensions[axis] / size[axis]);
  if (given.length > 1 && Math.max(...scales) / Math.min(...scales) > SHAPE_TOLERANCE) {
    const values = given.map((axis) => `${DIMENSIONS[axis]} ${job.dimensions[axis]}`).join(', ');
    throw new InvalidInput('export.dimensions', `${values} do not fit the shape of the 3D model, which is ${sizeText} in its own units; let them differ from its proportions by at most 5 %, or give only one dimension`);
  }
  const scale = given.length ? Math.exp(scales.reduce((sum, value) => sum + Math.log(value), 0) / scales.length) : 1;
  const longest = Math.max(...size) * scale;
  if (job.place && (longest > job.max_size_m || longest < job.min_size_m)) {
    const unit = job.unitless ? 'Its format has no unit, so metres were assumed' : 'This size is in its file';
    throw new InvalidInput('export.dimensions', `the 3D model would be ${longest.toPrecision(3)} m long; furniture is ${job.min_size_m} to ${job.max_size_m} m. ${unit}: give one true dimension`);
  }
  return scale;
}

/** Give every node, material and texture a unique name, and each mesh the name of its node, because other formats identify them by name. */
function makeNamesUnique(document) {
  const root = document.getRoot();
  const kinds = [[root.listNodes(), 'part'], [root.listMaterials(), 'material'], [root.listTextures(), 'texture']];
  for (const [items, fallback] of kinds) {
    const used = new Set();
    for (const item of items) {
      const name = item.getName().trim() || fallback;
      let unique = name;
      for (let number = 2; used.has(unique); number++) unique = `${name}-${number}`;
      used.add(unique);
      item.setName(unique);
    }
  }
  for (const node of root.listNodes()) node.getMesh()?.setName(node.getName());
  root.listTextures().forEach((texture, index) => {
    const extension = texture.getMimeType() === 'image/jpeg' ? 'jpg' : 'png';
    texture.setURI(`texture-${index}.${extension}`);
  });
}
