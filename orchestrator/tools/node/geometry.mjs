// Bakes node transforms into vertices, removes invalid triangles, and repairs normals.

import { convertPrimitiveToTriangles, unweldPrimitive } from '@gltf-transform/functions';
import { defaultScene, faceNormal, placedMeshes, transformPoint } from './document.mjs';

const KEPT_ATTRIBUTES = /^(POSITION|NORMAL|TEXCOORD_[0-3]|COLOR_0)$/;
const TRIANGLES = 4;
const TRIANGLE_MODES = [4, 5, 6]; // lists, strips and fans
const MIN_NORMAL_LENGTH = 1e-12;

/** Replace all nodes by one root node for each placed mesh, with the world transform in a copy of its vertices. */
export function bakeTransforms(document) {
  const scene = defaultScene(document);
  const baked = placedMeshes(document).map(([node, mesh]) => {
    const matrix = node.getWorldMatrix();
    const copy = mesh.clone();
    for (const primitive of copy.listPrimitives()) {
      copy.removePrimitive(primitive);
      copy.addPrimitive(bakePrimitive(primitive.clone(), matrix));
    }
    return document.createNode(node.getName() || mesh.getName()).setMesh(copy);
  });
  for (const node of document.getRoot().listNodes()) if (!baked.includes(node)) node.dispose();
  for (const node of baked) scene.addChild(node);
}

/** Make a transformed, indexed triangle list of copies of the kept attributes. Lines and points lose POSITION: `cleanPrimitives` removes them. */
function bakePrimitive(primitive, matrix) {
  if (!TRIANGLE_MODES.includes(primitive.getMode()) || !primitive.getAttribute('POSITION')) return primitive.setAttribute('POSITION', null);
  for (const target of primitive.listTargets()) primitive.removeTarget(target);
  for (const semantic of primitive.listSemantics()) {
    if (!KEPT_ATTRIBUTES.test(semantic)) primitive.setAttribute(semantic, null);
    else primitive.setAttribute(semantic, primitive.getAttribute(semantic).clone());
  }
  primitive.setIndices(primitive.getIndices()?.clone() ?? null);
  if (primitive.getMode() !== TRIANGLES) convertPrimitiveToTriangles(primitive);
  if (!primitive.getIndices()) {
    const count = Math.floor(primitive.getAttribute('POSITION').getCount() / 3) * 3;
    primitive.setIndices(primitive.getAttribute('POSITION').clone().setType('SCALAR').setArray(sequence(count)));
  }
  transformVertices(primitive, matrix);
  if (determinant(matrix) < 0) reverseWinding(primitive.getIndices().getArray());
  return primitive;
}

function transformVertices(primitive, matrix) {
  const position = primitive.getAttribute('POSITION');
  const normal = primitive.getAttribute('NORMAL');
  const normalMatrix = cofactorMatrix(matrix);
  const value = [];
  for (let index = 0; index < position.getCount(); index++) {
    position.setElement(index, transformPoint(matrix, position.getElement(index, value)));
    if (normal) normal.setElement(index, transformPoint(normalMatrix, normal.getElement(index, value)));
  }
}

/** Reverse the corner order of triangles that a mirroring transform has turned inside out. */
function reverseWinding(indices) {
  for (let index = 0; index + 2 < indices.length; index += 3) [indices[index], indices[index + 2]] = [indices[index + 2], indices[index]];
}

function sequence(count) {
  return Uint32Array.from({ length: count }, (_, index) => index);
}

function determinant(m) {
  return m[0] * (m[5] * m[10] - m[9] * m[6]) - m[4] * (m[1] * m[10] - m[9] * m[2]) + m[8] * (m[1] * m[6] - m[5] * m[2]);
}

/** Return the matrix that transforms normals: the transposed inverse times the absolute determinant. */
function cofactorMatrix(m) {
  const sign = determinant(m) < 0 ? -1 : 1;
  return [
    sign * (m[5] * m[10] - m[6] * m[9]), sign * (m[6] * m[8] - m[4] * m[10]), sign * (m[4] * m[9] - m[5] * m[8]), 0,
    sign * (m[2] * m[9] - m[1] * m[10]), sign * (m[0] * m[10] - m[2] * m[8]), sign * (m[1] * m[8] - m[0] * m[9]), 0,
    sign * (m[1] * m[6] - m[2] * m[5]), sign * (m[2] * m[4] - m[0] * m[6]), sign * (m[0] * m[5] - m[1] * m[4]), 0,
    0, 0, 0, 1,
  ]; // column-major, as in glTF
}

/** Remove invalid and degenerate triangles and empty primitives, and repair normals. */
export function cleanPrimitives(document, notes) {
  let removed = 0;
  for (const [node, mesh] of placedMeshes(document)) {
    for (const primitive of mesh.listPrimitives()) {
      const position = primitive.getAttribute('POSITION');
      if (position) removed += removeInvalidTriangles(primitive, position);
      if (!position || !primitive.getIndices().getCount()) primitive.dispose();
      else repairNormals(document, primitive);
    }
    if (!mesh.listPrimitives().length) node.dispose();
  }
  if (removed) notes.push(`${removed} triangles were removed: they have no area, or coordinates that are not numbers`);
}

/** Remove triangles with an index out of range, a coordinate that is not finite, or no area. Returns their number. */
function removeInvalidTriangles(primitive, position) {
  const count = position.getCount();
  const positions = position.getArray();
  const indices = primitive.getIndices().getArray();
  const isFinitePoint = (vertex) => [0, 1, 2].every((axis) => Number.isFinite(positions[3 * vertex + axis]));
  const kept = [];
  for (let index = 0; index + 2 < indices.length; index += 3) {
    const corners = [indices[index], indices[index + 1], indices[index + 2]];
    const isValid = corners.every((vertex) => vertex < count && isFinitePoint(vertex)) && new Set(corners).size === 3;
    if (isValid && Math.hypot(...faceNormal(positions, ...corners)) > 0) kept.push(...corners);
  }
  const removed = Math.floor(indices.length / 3) - kept.length / 3;
  primitive.getIndices().setArray(new Uint32Array(kept));
  return removed;
}

/**
 * Give every vertex a normal of length 1. A primitive without normals is shaded flat, as glTF defines. An invalid normal
 * becomes the mean of the normals of its faces.
 */
function repairNormals(document, primitive) {
  const existing = primitive.getAttribute('NORMAL');
  if (!existing) unweldPrimitive(primitive);
  if (!primitive.getIndices()) {
    const count = primitive.getAttribute('POSITION').getCount();
    primitive.setIndices(document.createAccessor().setType('SCALAR').setArray(sequence(count)));
  }
  const positions = primitive.getAttribute('POSITION').getArray();
  const normals = existing ? Float32Array.from(existing.getArray()) : new Float32Array(positions.length);
  const invalid = normaliseValid(normals);
  if (invalid.size) replaceInvalid(normals, invalid, positions, primitive.getIndices().getArray());
  primitive.setAttribute('NORMAL', document.createAccessor().setType('VEC3').setArray(normals));
}

const lengthOf = (normals, vertex) => Math.hypot(normals[3 * vertex], normals[3 * vertex + 1], normals[3 * vertex + 2]);

/** Scale valid normals to length 1 and set invalid ones to 0. Returns the vertices of the invalid ones. */
function normaliseValid(normals) {
  const invalid = new Set();
  for (let vertex = 0; vertex < normals.length / 3; vertex++) {
    const length = lengthOf(normals, vertex);
    if (Number.isFinite(length) && length > MIN_NORMAL_LENGTH) for (let axis = 0; axis < 3; axis++) normals[3 * vertex + axis] /= length;
    else {
      invalid.add(vertex);
      normals.fill(0, 3 * vertex, 3 * vertex + 3);
    }
  }
  return invalid;
}

/** Set invalid normals to the mean of the normals of their faces, weighted by area; to +Y if there is none. */
function replaceInvalid(normals, invalid, positions, indices) {
  for (let index = 0; index < indices.length; index += 3) {
    const corners = [indices[index], indices[index + 1], indices[index + 2]];
    const invalidCorners = corners.filter((vertex) => invalid.has(vertex));
    if (!invalidCorners.length) continue;
    const face = faceNormal(positions, ...corners);
    for (const vertex of invalidCorners) for (let axis = 0; axis < 3; axis++) normals[3 * vertex + axis] += face[axis];
  }
  for (const vertex of invalid) {
    const length = lengthOf(normals, vertex);
    if (length > 0) for (let axis = 0; axis < 3; axis++) normals[3 * vertex + axis] /= length;
    else normals.set([0, 1, 0], 3 * vertex);
  }
}
