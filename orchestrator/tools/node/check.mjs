// Checks an uploaded glTF: its structure with the Khronos validator, and the contents of its scene with glTF-Transform.
//
// The validator also reports defects that every reader tolerates, such as normals that are not of unit length. Only the
// issues listed here make a file invalid.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { ImageUtils } from '@gltf-transform/core';
import validator from 'gltf-validator';
import { InvalidInput, defaultScene, openIO, placedMeshes, readDocument, run, transformPoint } from './document.mjs';

/** Patterns of places in the JSON (JSON pointers), each with the issues of the validator that make a file invalid there. */
const INVALID_AT = [
  [/^/, [
    'GLB_CHUNK_TOO_BIG', 'GLB_DUPLICATE_CHUNK', 'GLB_EXTRA_DATA', 'GLB_INVALID_VERSION', 'GLB_LENGTH_MISMATCH',
    'GLB_LENGTH_TOO_SMALL', 'GLB_UNEXPECTED_BIN_CHUNK', 'GLB_UNEXPECTED_END_OF_CHUNK_DATA', 'GLB_UNEXPECTED_END_OF_CHUNK_HEADER',
    'GLB_UNEXPECTED_END_OF_HEADER', 'GLB_UNEXPECTED_FIRST_CHUNK', 'INVALID_JSON', 'IO_ERROR',
    'ASSET_MIN_VERSION_GREATER_THAN_VERSION', 'UNKNOWN_ASSET_MAJOR_VERSION',
    'ACCESSOR_INDEX_OOB', 'ACCESSOR_OFFSET_ALIGNMENT', 'ACCESSOR_SMALL_BYTESTRIDE', 'ACCESSOR_SPARSE_COUNT_OUT_OF_RANGE',
    'ACCESSOR_SPARSE_INDEX_OOB', 'ACCESSOR_SPARSE_INDICES_NON_INCREASING', 'ACCESSOR_TOO_LONG', 'ACCESSOR_TOTAL_OFFSET_ALIGNMENT',
    'BUFFER_BYTE_LENGTH_MISMATCH', 'BUFFER_DATA_URI_MIME_TYPE_INVALID', 'BUFFER_MISSING_GLB_DATA', 'BUFFER_VIEW_TOO_LONG',
    'IMAGE_DATA_INVALID', 'IMAGE_UNEXPECTED_EOS', 'MESH_PRIMITIVE_INDICES_ACCESSOR_INVALID_FORMAT',
    'MESH_PRIMITIVE_MORPH_TARGET_INVALID_ATTRIBUTE_COUNT', 'MESH_PRIMITIVE_UNEQUAL_ACCESSOR_COUNT',
  ]],
  [/^(?!\/animations)/, ['NODE_LOOP', 'NODE_PARENT_OVERRIDE', 'SCENE_NON_ROOT_NODE', 'UNRESOLVED_REFERENCE']],
  [/^(\/?$|\/(asset|scenes?|nodes|meshes|accessors|bufferViews|buffers|images|textures|skins|extensionsRequired)\b(?!.*\/(extensions|extras|min|max|mimeType)\b))/, [
    'ARRAY_LENGTH_NOT_IN_LIST', 'ARRAY_TYPE_MISMATCH', 'DUPLICATE_ELEMENTS', 'INVALID_INDEX', 'ONE_OF_MISMATCH', 'TYPE_MISMATCH',
    'UNDEFINED_PROPERTY', 'VALUE_NOT_IN_LIST',
  ]],
  [/^\/(meshes|accessors|bufferViews|buffers)\b(?!.*\/extensions\b)/, ['VALUE_NOT_IN_RANGE']],
  [/^\/buffers/, ['INVALID_URI']],
  [/\/attributes\/POSITION$/, ['MESH_PRIMITIVE_ATTRIBUTES_ACCESSOR_INVALID_FORMAT']],
];
const MAX_ISSUES = 1000;
const MAX_NODE_DEPTH = 100;
const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/webp', 'image/ktx2'];
const TRIANGLES = 4;
const TRIANGLE_FAN = 6;
const NEEDED = 'a 3D model needs at least one triangle';

await run(async (job) => {
  await validate(job.source);
  const document = await readDocument(await openIO(), job.source);
  checkNodes(document);
  checkNames(document);
  checkTextures(document, job);
  const triangles = checkScene(document, job);
  const extensions = document.getRoot().listExtensionsUsed().map((extension) => extension.extensionName);
  return {
    triangles,
    materials: document.getRoot().listMaterials().map((material) => material.getName()),
    compression: ['draco', 'meshopt'].find((codec) => extensions.some((name) => name.includes(codec))) ?? '',
  };
});

function reject(message) {
  throw new InvalidInput('model', message);
}

async function validate(source) {
  const folder = path.dirname(source);
  // If deeply nested nodes overflow the stack of the validator, it throws outside its promise.
  const crashed = new Promise((_, fail) => process.once('uncaughtException', fail));
  const validated = validator.validateBytes(new Uint8Array(readFileSync(source)), {
    maxIssues: MAX_ISSUES,
    onlyIssues: INVALID_AT.flatMap(([, codes]) => codes),
    externalResourceFunction: (uri) => readFile(path.join(folder, decodeURIComponent(uri))),
  });
  const report = await Promise.race([validated, crashed]).catch((error) => reject(`the glTF validator crashed on it: ${error}`));
  process.removeAllListeners('uncaughtException');
  const { messages, truncated } = report.issues;
  const issue = messages.find(isInvalid) ?? (truncated ? messages[0] : null);
  if (issue) reject(`the glTF is invalid at ${issue.pointer || 'its root'}: ${issue.message} (${issue.code})`);
}

function isInvalid({ code, pointer }) {
  return INVALID_AT.some(([places, codes]) => codes.includes(code) && places.test(pointer ?? ''));
}

/** Reject deep chains of nodes, which overflow the stack of readers that walk them recursively. */
function checkNodes(document) {
  for (const node of document.getRoot().listNodes()) {
    let depth = 0;
    for (let parent = node; parent && depth <= MAX_NODE_DEPTH; parent = parent.getParentNode()) depth++;
    if (depth > MAX_NODE_DEPTH) reject(`the nodes are nested more than ${MAX_NODE_DEPTH} deep, which is not allowed`);
  }
}

/** Reject names with line breaks: tools print names, and the rest of a name could imitate a line of progress. */
function checkNames(document) {
  const root = document.getRoot();
  for (const item of [...root.listNodes(), ...root.listMeshes(), ...root.listMaterials(), ...root.listTextures()]) {
    const name = item.getName();
    if (typeof name !== 'string') reject(`the name ${JSON.stringify(name)} is not a string, which is not allowed`);
    if (/[\r\n\0]/.test(name)) reject(`the name '${name}' has a line break, which is not allowed`);
  }
}

/** Check the sizes of textures, from their headers, because a few kilobytes can decode to gigabytes. */
function checkTextures(document, { max_side: maxSide, max_pixels: maxPixels }) {
  let pixels = 0;
  for (const [index, texture] of document.getRoot().listTextures().entries()) {
    const bytes = texture.getImage();
    if (!bytes?.length) continue;
    const type = ImageUtils.getMimeType(bytes);
    if (!IMAGE_TYPES.includes(type)) reject(`image ${index} has an unknown format; allowed are PNG, JPEG, WebP and KTX2`);
    const [width, height] = imageSize(bytes, type, index);
    if (!(width > 0 && width <= maxSide && height > 0 && height <= maxSide)) {
      reject(`image ${index} has ${width}×${height} pixels; each side must have 1 to ${maxSide}`);
    }
    pixels += width * height;
    if (pixels > maxPixels) reject(`the textures have more than ${maxPixels} pixels together`);
  }
}

function imageSize(bytes, type, index) {
  try {
    return ImageUtils.getSize(bytes, type) ?? [0, 0];
  } catch {
    reject(`image ${index} is cut short: its header is incomplete`);
  }
}

/** Check the geometry of the default scene. Returns the number of its triangles, with those of all instances. */
function checkScene(document, { max_coordinate: maxCoordinate, max_triangles: maxTriangles }) {
  if (!defaultScene(document)) reject(`the scene is empty: the file has no scene; ${NEEDED}`);
  const placed = placedMeshes(document).flatMap(([node, mesh]) => trianglePrimitives(mesh).map((primitive) => ({ node, mesh, primitive })));
  const triangles = placed.reduce((sum, { node, mesh, primitive }) => sum + countTriangles(primitive, mesh) * instances(node), 0);
  if (!triangles) reject(`the scene is empty: no node of it shows triangles; ${NEEDED}`);
  if (triangles > maxTriangles) return triangles; // rejected by the caller, before any geometry is read
  for (const { node } of placed) {
    if (node.getWorldMatrix().every((value) => Math.abs(value) <= maxCoordinate)) continue;
    reject(`the matrix, translation, rotation or scale of node '${node.getName()}' has a value beyond ±${formatNumber(maxCoordinate)}`);
  }
  const meshOfPositions = new Map(placed.map(({ mesh, primitive }) => [primitive.getAttribute('POSITION'), mesh]));
  for (const [positions, mesh] of meshOfPositions) checkPositions(positions, mesh, maxCoordinate);
  if (!placed.some(({ node, primitive }) => hasArea(primitive, node.getWorldMatrix()))) {
    reject('no triangle has an area: all vertices lie in one point or on one line');
  }
  return triangles;
}

function trianglePrimitives(mesh) {
  return mesh.listPrimitives().filter((primitive) => primitive.getMode() >= TRIANGLES && primitive.getAttribute('POSITION'));
}

function checkPositions(positions, mesh, maxCoordinate) {
  const point = [];
  for (let index = 0; index < positions.getCount(); index++) {
    positions.getElement(index, point);
    if (!point.every((value) => Math.abs(value) <= maxCoordinate)) {
      const where = `vertex ${index} of mesh '${mesh.getName()}'`;
      reject(`${where} is (${point.map(formatNumber).join(', ')}); each coordinate must be a number within ±${formatNumber(maxCoordinate)}`);
    }
  }
}

/** Format a number as the Python code does: six digits, `nan` and `inf`. */
function formatNumber(value) {
  return String(Number(value.toPrecision(6))).replace('NaN', 'nan').replace('Infinity', 'inf');
}

function countTriangles(primitive, mesh) {
  const corners = (primitive.getIndices() ?? primitive.getAttribute('POSITION')).getCount();
  if (primitive.getMode() !== TRIANGLES) return Math.max(corners - 2, 0);
  if (corners % 3) reject(`a primitive of mesh '${mesh.getName()}' has ${corners} corners, which is not a multiple of 3`);
  return corners / 3;
}

/** Return how many times EXT_mesh_gpu_instancing shows the mesh of a node. */
function instances(node) {
  const attributes = node.getExtension('EXT_mesh_gpu_instancing')?.listAttributes() ?? [];
  return attributes.length ? attributes[0].getCount() : 1;
}

function hasArea(primitive, matrix) {
  const positions = primitive.getAttribute('POSITION');
  const indices = primitive.getIndices();
  const step = primitive.getMode() === TRIANGLES ? 3 : 1;
  const isFan = primitive.getMode() === TRIANGLE_FAN;
  const corners = (indices ?? positions).getCount();
  const corner = (index) => transformPoint(matrix, positions.getElement(indices ? indices.getScalar(index) : index, []));
  for (let index = 0; index + 2 < corners; index += step) {
    const [a, b, c] = [corner(isFan ? 0 : index), corner(index + 1), corner(index + 2)];
    const [u, v] = [b, c].map((point) => point.map((value, axis) => value - a[axis]));
    // A triangle has an area if the cross product of two sides is not zero.
    if (u[1] * v[2] - u[2] * v[1] || u[2] * v[0] - u[0] * v[2] || u[0] * v[1] - u[1] * v[0]) return true;
  }
  return false;
}
