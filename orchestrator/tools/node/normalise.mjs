// Any glTF → the base GLB: one scene of plain triangle meshes in metres, nodes without transforms, origin at the bottom
// centre, sound normals, PNG and JPEG textures, opaque materials marked so.

import { dedup, convertPrimitiveToTriangles, dequantize, metalRough, prune, uninstance, unweldPrimitive, weld } from '@gltf-transform/functions';
import { PropertyType } from '@gltf-transform/core';
import { InvalidInput, countTriangles, dropCompression, exactBounds, openIO, placedMeshes, progress, readDocument, run, defaultScene, transformed } from './document.mjs';
import { decodeTextures, seesThrough } from './textures.mjs';
import { bakeTextureTransforms } from './texture_transforms.mjs';

const SHAPE_TOLERANCE = 1.05;
const KEPT_ATTRIBUTES = /^(POSITION|NORMAL|TEXCOORD_[0-3]|COLOR_0)$/;
const TRIANGLE_MODES = [4, 5, 6];

await run(async (job) => {
  const io = await openIO();
  const notes = [];
  progress(0.05, 'reading the model');
  const document = await readDocument(io, job.source);
  dropCompression(document);
  await dropWhatDoesNotMatter(document, notes);
  await document.transform(dequantize(), metalRough());
  progress(0.3, 'cleaning the geometry');
  bake(document);
  cleanPrimitives(document, notes);
  if (!countTriangles(document)) throw new InvalidInput('model', 'it has no triangles');
  progress(0.5, 'reading the textures');
  await decodeTextures(document, notes);
  bakeTextureTransforms(document);
  await keepOpaque(document, notes);
  const scale = place(document, job);
  progress(0.8, 'writing the base model');
  await document.transform(
    weld({ cleanup: false }),
    dedup({ keepUniqueNames: true }),
    prune({ keepAttributes: true, keepSolidTextures: true, keepLeaves: false, keepExtras: false }),
  );
  name(document);
  document.getRoot().getAsset().generator = 'Heartwood';
  await io.write(job.target, document);
  return { notes, scale };
});

async function dropWhatDoesNotMatter(document, notes) {
  const root = document.getRoot();
  const scene = defaultScene(document);
  if (!scene) throw new InvalidInput('model', 'it has no scene');
  for (const one of root.listScenes()) if (one !== scene) one.dispose();
  root.setDefaultScene(scene);
  await document.transform(uninstance());
  if (root.listAnimations().length) notes.push(`${root.listAnimations().length} animations were dropped: files show the piece at rest`);
  for (const one of root.listAnimations()) one.dispose();
  if (root.listSkins().length) notes.push('the skeleton was dropped: the mesh stands as it was modelled');
  for (const one of root.listSkins()) one.dispose();
  for (const one of root.listCameras()) one.dispose();
  for (const one of root.listExtensionsUsed()) {
    if (['KHR_lights_punctual', 'KHR_xmp_json_ld', 'EXT_mesh_gpu_instancing'].includes(one.extensionName)) one.dispose();
  }
}

/** Give every node that shows a mesh its own copy with the world's transform in its vertices. */
function bake(document) {
  const scene = defaultScene(document);
  const baked = placedMeshes(document).map(([node, mesh]) => {
    const matrix = node.getWorldMatrix();
    const own = mesh.clone();
    for (const primitive of own.listPrimitives()) {
      own.removePrimitive(primitive);
      own.addPrimitive(bakedPrimitive(primitive.clone(), matrix));
    }
    return document.createNode(node.getName() || mesh.getName()).setMesh(own);
  });
  for (const node of document.getRoot().listNodes()) if (!baked.includes(node)) node.dispose();
  for (const node of baked) scene.addChild(node);
}

function bakedPrimitive(primitive, matrix) {
  if (!TRIANGLE_MODES.includes(primitive.getMode()) || !primitive.getAttribute('POSITION')) return primitive.setAttribute('POSITION', null);
  for (const target of primitive.listTargets()) primitive.removeTarget(target);
  for (const semantic of primitive.listSemantics()) {
    if (!KEPT_ATTRIBUTES.test(semantic)) primitive.setAttribute(semantic, null);
    else primitive.setAttribute(semantic, primitive.getAttribute(semantic).clone());
  }
  primitive.setIndices(primitive.getIndices()?.clone() ?? null);
  if (primitive.getMode() !== 4) convertPrimitiveToTriangles(primitive);
  if (!primitive.getIndices()) {
    const count = Math.floor(primitive.getAttribute('POSITION').getCount() / 3) * 3;
    const indices = Uint32Array.from({ length: count }, (_, index) => index);
    primitive.setIndices(primitive.getAttribute('POSITION').clone().setType('SCALAR').setArray(indices));
  }
  const position = primitive.getAttribute('POSITION');
  const normal = primitive.getAttribute('NORMAL');
  const [m, n] = [matrix, cofactor(matrix)];
  const value = [];
  for (let index = 0; index < position.getCount(); index++) {
    position.setElement(index, transformed(m, position.getElement(index, value)));
    if (normal) normal.setElement(index, transformed(n, normal.getElement(index, value)));
  }
  if (determinant(m) < 0) {
    const indices = primitive.getIndices().getArray();
    for (let index = 0; index + 2 < indices.length; index += 3) [indices[index], indices[index + 2]] = [indices[index + 2], indices[index]];
  }
  return primitive;
}

function determinant(m) {
  return m[0] * (m[5] * m[10] - m[9] * m[6]) - m[4] * (m[1] * m[10] - m[9] * m[2]) + m[8] * (m[1] * m[6] - m[5] * m[2]);
}

/** What turns normals: the transposed inverse, with the determinant's sign and without its size. */
function cofactor(m) {
  const sign = determinant(m) < 0 ? -1 : 1;
  return [
    sign * (m[5] * m[10] - m[6] * m[9]), sign * (m[6] * m[8] - m[4] * m[10]), sign * (m[4] * m[9] - m[5] * m[8]), 0,
    sign * (m[2] * m[9] - m[1] * m[10]), sign * (m[0] * m[10] - m[2] * m[8]), sign * (m[1] * m[8] - m[0] * m[9]), 0,
    sign * (m[1] * m[6] - m[2] * m[5]), sign * (m[2] * m[4] - m[0] * m[6]), sign * (m[0] * m[5] - m[1] * m[4]), 0,
    0, 0, 0, 1,
  ]; // column-major, as glTF's matrices
}

/** Drop what is no triangle, triangles with numbers that are none, and primitives without any left; mend the normals. */
function cleanPrimitives(document, notes) {
  let dropped = 0;
  for (const [node, mesh] of placedMeshes(document)) {
    for (const primitive of mesh.listPrimitives()) {
      const position = primitive.getAttribute('POSITION');
      if (position) dropped += keepSoundTriangles(primitive, position);
      if (!position || !primitive.getIndices().getCount()) primitive.dispose();
      else mendNormals(document, primitive);
    }
    if (!mesh.listPrimitives().length) node.dispose();
  }
  if (dropped) notes.push(`${dropped} triangles without area or with numbers that are none were dropped`);
}

function keepSoundTriangles(primitive, position) {
  const count = position.getCount();
  const at = position.getArray();
  const indices = primitive.getIndices().getArray();
  const sound = [];
  for (let index = 0; index + 2 < indices.length; index += 3) {
    const corners = [indices[index], indices[index + 1], indices[index + 2]];
    const inside = corners.every((one) => one < count && [0, 1, 2].every((axis) => Number.isFinite(at[3 * one + axis])));
    if (inside && new Set(corners).size === 3 && Math.hypot(...faceNormal(at, ...corners)) > 0) sound.push(...corners);
  }
  const dropped = Math.floor(indices.length / 3) - sound.length / 3;
  primitive.getIndices().setArray(new Uint32Array(sound));
  return dropped;
}

function faceNormal(at, a, b, c) {
  const [ux, uy, uz] = [0, 1, 2].map((axis) => at[3 * b + axis] - at[3 * a + axis]);
  const [vx, vy, vz] = [0, 1, 2].map((axis) => at[3 * c + axis] - at[3 * a + axis]);
  return [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
}

/** Normals of length 1; where a mesh has none it is flat, as glTF says; where one has no length it is its faces'. */
function mendNormals(document, primitive) {
  const had = primitive.getAttribute('NORMAL');
  if (!had) unweldPrimitive(primitive);
  if (!primitive.getIndices()) {
    const count = primitive.getAttribute('POSITION').getCount();
    primitive.setIndices(document.createAccessor().setType('SCALAR').setArray(Uint32Array.from({ length: count }, (_, index) => index)));
  }
  const at = primitive.getAttribute('POSITION').getArray();
  const indices = primitive.getIndices().getArray();
  const normals = had ? Float32Array.from(had.getArray()) : new Float32Array(at.length);
  const length = (one) => Math.hypot(normals[3 * one], normals[3 * one + 1], normals[3 * one + 2]);
  const bad = new Set();
  for (let one = 0; one < normals.length / 3; one++) {
    const size = length(one);
    if (Number.isFinite(size) && size > 1e-12) for (let axis = 0; axis < 3; axis++) normals[3 * one + axis] /= size;
    else {
      bad.add(one);
      normals.fill(0, 3 * one, 3 * one + 3);
    }
  }
  if (bad.size) {
    for (let index = 0; index < indices.length; index += 3) {
      const corners = [indices[index], indices[index + 1], indices[index + 2]];
      if (!corners.some((one) => bad.has(one))) continue;
      const face = faceNormal(at, ...corners);
      for (const one of corners) if (bad.has(one)) for (let axis = 0; axis < 3; axis++) normals[3 * one + axis] += face[axis];
    }
    for (const one of bad) {
      const size = length(one);
      for (let axis = 0; axis < 3; axis++) normals[3 * one + axis] = size > 0 ? normals[3 * one + axis] / size : axis === 1 ? 1 : 0;
    }
  }
  primitive.setAttribute('NORMAL', document.createAccessor().setType('VEC3').setArray(normals));
}

/** A material that lets nothing through is opaque, whatever its file says: blending costs order and shadows. */
async function keepOpaque(document, notes) {
  for (const material of document.getRoot().listMaterials()) {
    if (material.getAlphaMode() === 'OPAQUE' || material.getAlpha() < 1) continue;
    const texture = material.getBaseColorTexture();
    if (texture && (await seesThrough(texture))) continue;
    const painted = material.listParents().some((one) => one.propertyType === PropertyType.PRIMITIVE && paintedThrough(one));
    if (painted) continue;
    material.setAlphaMode('OPAQUE');
    notes.push(`material ${JSON.stringify(material.getName())} is opaque: nothing of it lets light through`);
  }
}

function paintedThrough(primitive) {
  const color = primitive.getAttribute('COLOR_0');
  if (!color || color.getElementSize() < 4) return false;
  const value = [];
  for (let index = 0; index < color.getCount(); index++) if (color.getElement(index, value)[3] < 0.996) return true;
  return false;
}

/** Scale to the dimensions that are given and put the origin at the bottom centre. Returns the scale. */
function place(document, job) {
  const { low, high } = exactBounds(document);
  const size = [0, 1, 2].map((axis) => high[axis] - low[axis]);
  const scale = theScale(size, job);
  if (!job.place) return 1;
  const foot = [(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2];
  for (const [, mesh] of placedMeshes(document)) {
    for (const primitive of mesh.listPrimitives()) {
      const at = primitive.getAttribute('POSITION').getArray();
      for (let index = 0; index < at.length; index++) at[index] = (at[index] - foot[index % 3]) * scale;
    }
  }
  return scale;
}

function theScale(size, job) {
  const wanted = job.dimensions;
  const names = ['width_m', 'height_m', 'depth_m'];
  const known = [0, 1, 2].filter((axis) => wanted[axis] > 0);
  const inWords = `${size.map((side) => side.toPrecision(3)).join(' × ')} (width × height × depth)`;
  for (const axis of known) {
    if (size[axis] <= 0) throw new InvalidInput(`export.dimensions.${names[axis]}`, `${wanted[axis]} is given, but the model is flat there: ${inWords}`);
  }
  const scales = known.map((axis) => wanted[axis] / size[axis]);
  if (known.length > 1 && Math.max(...scales) / Math.min(...scales) > SHAPE_TOLERANCE) {
    const given = known.map((axis) => `${names[axis]} ${wanted[axis]}`).join(', ');
    throw new InvalidInput('export.dimensions', `${given} do not fit the model's shape, which is ${inWords} in its own units; they may differ from its proportions by 5 %, or give one only`);
  }
  const scale = known.length ? Math.exp(scales.reduce((sum, one) => sum + Math.log(one), 0) / scales.length) : 1;
  const largest = Math.max(...size) * scale;
  if (job.place && (largest > job.max_size_m || largest < job.min_size_m)) {
    throw new InvalidInput('export.dimensions', `the model would be ${largest.toPrecision(3)} m long; furniture is ${job.min_size_m} to ${job.max_size_m} m. ${job.unitless ? 'Its format has no unit, so metres were assumed' : 'Its file says so'}: give one true dimension`);
  }
  return scale;
}

/** Every mesh, material and texture gets a name of its own, so that every format can keep them apart. */
function name(document) {
  const root = document.getRoot();
  const kinds = [[root.listNodes(), 'part'], [root.listMaterials(), 'material'], [root.listTextures(), 'texture']];
  for (const [all, word] of kinds) {
    const taken = new Set();
    for (const one of all) {
      const plain = one.getName().trim() || word;
      let unique = plain;
      for (let number = 2; taken.has(unique); number++) unique = `${plain}-${number}`;
      taken.add(unique);
      one.setName(unique);
    }
  }
  for (const node of root.listNodes()) node.getMesh()?.setName(node.getName());
  root.listTextures().forEach((texture, index) => {
    const kind = texture.getMimeType() === 'image/jpeg' ? 'jpg' : 'png';
    texture.setURI(`texture-${index}.${kind}`);
  });
}
