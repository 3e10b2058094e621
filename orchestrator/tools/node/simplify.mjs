// Reduces triangles with meshoptimizer. One error bound limits how far the surface moves, how far the texture slides on
// it, and how far normals turn. Edges collapse along UV seams, never across them.
// The flag `Permissive` also collapses edges between faces with different normals if the error stays within the bound.

import { compactPrimitive } from '@gltf-transform/functions';
import { MeshoptSimplifier } from 'meshoptimizer';
import { countTriangles, exactBounds, faceNormal, placedMeshes } from './document.mjs';

// meshopt_SimplifyVertex_Protect: a vertex on a seam moves along the seam only.
const PROTECT = 2;
// Target relative to the wanted number of triangles, because meshoptimizer stops a few collapses early. Not tuned.
const TARGET_SHARE = 0.97;
// A normal that turns by one radian, or a colour that changes by 1, counts as a surface that moves by this share of the diagonal. Not tuned.
const NORMAL_WEIGHT = 0.03;

/**
 * Simplify every primitive of `document`.
 * @param tolerance maximum movement of the surface, as a share of the diagonal of the bounding box
 * @param maxTriangles stop at this number of triangles; 0 simplifies as far as the tolerance allows
 * @param keepBorders keep open edges in place, so that no gaps appear between neighbours with different materials
 */
export async function simplify(document, tolerance, { maxTriangles = 0, keepBorders = true } = {}) {
  await MeshoptSimplifier.ready;
  const { low, high } = exactBounds(document);
  const diagonal = Math.hypot(...[0, 1, 2].map((axis) => high[axis] - low[axis]));
  const share = maxTriangles ? Math.min(1, (TARGET_SHARE * maxTriangles) / countTriangles(document)) : 0;
  const flags = ['ErrorAbsolute', ...(keepBorders ? ['LockBorder'] : []), 'Permissive'];
  const primitives = new Set(placedMeshes(document).flatMap(([, mesh]) => mesh.listPrimitives()));
  for (const primitive of primitives) {
    const positions = Float32Array.from(primitive.getAttribute('POSITION').getArray());
    const indices = Uint32Array.from(primitive.getIndices().getArray());
    const { values, stride, weights } = weightedAttributes(primitive, positions, indices, diagonal);
    const locks = vertexLocks(primitive, positions);
    const target = Math.floor((indices.length * share) / 3) * 3;
    const [kept] = MeshoptSimplifier.simplifyWithAttributes(
      indices, positions, 3, values, stride, weights, locks, target, tolerance * diagonal, flags,
    );
    if (!kept.length || kept.length === indices.length) continue;
    primitive.setIndices(primitive.getIndices().clone().setArray(kept));
    compactPrimitive(primitive);
  }
}

/** Return for each vertex PROTECT if it is on a UV seam (another vertex at its position has other UVs), otherwise 0. */
function vertexLocks(primitive, positions) {
  const uv = primitive.getAttribute('TEXCOORD_0')?.getArray();
  const locks = new Uint8Array(positions.length / 3);
  if (!uv) return locks;
  const first = MeshoptSimplifier.generatePositionRemap(positions, 3); // the first vertex at each vertex's position
  const onSeam = new Uint8Array(locks.length);
  for (let vertex = 0; vertex < first.length; vertex++) {
    if (uv[2 * vertex] !== uv[2 * first[vertex]] || uv[2 * vertex + 1] !== uv[2 * first[vertex] + 1]) onSeam[first[vertex]] = PROTECT;
  }
  return locks.map((_, vertex) => onSeam[first[vertex]]);
}

/** Return normals, UVs and colours as one array, with weights that convert their errors to metres. */
function weightedAttributes(primitive, positions, indices, diagonal) {
  const attributes = [];
  const normal = primitive.getAttribute('NORMAL');
  if (normal) attributes.push([normal, NORMAL_WEIGHT * diagonal]);
  const uv = primitive.getAttribute('TEXCOORD_0');
  if (uv) attributes.push([uv, metresPerUv(positions, uv.getArray(), indices)]);
  const color = primitive.getAttribute('COLOR_0');
  if (color) attributes.push([color, NORMAL_WEIGHT * diagonal]);
  const stride = attributes.reduce((sum, [attribute]) => sum + attribute.getElementSize(), 0);
  const count = positions.length / 3;
  const values = new Float32Array(count * Math.max(stride, 1));
  const weights = [];
  let offset = 0;
  const element = [];
  for (const [attribute, weight] of attributes) {
    const size = attribute.getElementSize();
    for (let index = 0; index < count; index++) {
      attribute.getElement(index, element);
      for (let component = 0; component < size; component++) values[index * stride + offset + component] = element[component];
    }
    weights.push(...Array(size).fill(weight));
    offset += size;
  }
  return { values, stride, weights };
}

/** Return the length on the surface of one unit of UV: the square root of the ratio of the areas. */
function metresPerUv(positions, uv, indices) {
  let [surfaceArea, uvArea] = [0, 0];
  for (let index = 0; index < indices.length; index += 3) {
    const [a, b, c] = [indices[index], indices[index + 1], indices[index + 2]];
    surfaceArea += Math.hypot(...faceNormal(positions, a, b, c));
    uvArea += Math.abs((uv[2 * b] - uv[2 * a]) * (uv[2 * c + 1] - uv[2 * a + 1]) - (uv[2 * c] - uv[2 * a]) * (uv[2 * b + 1] - uv[2 * a + 1]));
  }
  return uvArea > 0 ? Math.sqrt(surfaceArea / uvArea) : 0;
}
