// Fewer triangles, by meshoptimizer: edges collapse along UV seams and never across, borders stay, and how far the
// surface moves, how far the texture slides on it and how far normals turn are bounded together.
//
// Edges with other normals on either side may collapse (Permissive) where that is as little seen as anything else.

import { compactPrimitive } from '@gltf-transform/functions';
import { MeshoptSimplifier } from 'meshoptimizer';
import { countTriangles, exactBounds, placedMeshes } from './document.mjs';

const PROTECT = 2; // meshopt_SimplifyVertex_Protect: a seam may collapse along itself, not across
const AIM = 0.97; // of the triangles wanted: meshoptimizer stops a few collapses before
const NORMAL_SHARE = 0.03; // a normal that turns by one radian counts as a surface that moves by this share of the diagonal

/**
 * Simplify every primitive of `document`.
 * @param tolerance how far the surface may move, as a share of the model's diagonal
 * @param maxTriangles stop there; 0 goes as far as the tolerance allows
 * @param keepBorders open edges stay where they are, so that neighbours with another material leave no gap
 */
export async function simplify(document, tolerance, { maxTriangles = 0, keepBorders = true } = {}) {
  await MeshoptSimplifier.ready;
  const { low, high } = exactBounds(document);
  const diagonal = Math.hypot(...[0, 1, 2].map((axis) => high[axis] - low[axis]));
  const share = maxTriangles ? Math.min(1, (AIM * maxTriangles) / countTriangles(document)) : 0;
  const flags = ['ErrorAbsolute', ...(keepBorders ? ['LockBorder'] : []), 'Permissive'];
  const seen = new Set();
  for (const [, mesh] of placedMeshes(document)) {
    for (const primitive of mesh.listPrimitives()) {
      if (seen.has(primitive)) continue;
      seen.add(primitive);
      const positions = Float32Array.from(primitive.getAttribute('POSITION').getArray());
      const indices = Uint32Array.from(primitive.getIndices().getArray());
      const { values, stride, weights } = attributes(primitive, positions, indices, diagonal);
      const target = Math.floor((indices.length * share) / 3) * 3;
      const [kept] = MeshoptSimplifier.simplifyWithAttributes(
        indices, positions, 3, values, stride, weights, seams(primitive, positions), target, tolerance * diagonal, flags,
      );
      if (!kept.length || kept.length === indices.length) continue;
      primitive.setIndices(primitive.getIndices().clone().setArray(kept));
      compactPrimitive(primitive);
    }
  }
}

/** PROTECT for vertices at whose place another has other UVs. */
function seams(primitive, positions) {
  const uv = primitive.getAttribute('TEXCOORD_0')?.getArray();
  const protectedOnes = new Uint8Array(positions.length / 3);
  if (!uv) return protectedOnes;
  const first = MeshoptSimplifier.generatePositionRemap(positions, 3);
  const split = new Uint8Array(protectedOnes.length);
  for (let one = 0; one < first.length; one++) {
    if (uv[2 * one] !== uv[2 * first[one]] || uv[2 * one + 1] !== uv[2 * first[one] + 1]) split[first[one]] = PROTECT;
  }
  return protectedOnes.map((_, one) => split[first[one]]);
}

/** Normals and UVs as one array, with weights that make their errors lengths in metres. */
function attributes(primitive, positions, indices, diagonal) {
  const parts = [];
  const normal = primitive.getAttribute('NORMAL');
  if (normal) parts.push([normal, NORMAL_SHARE * diagonal]);
  const uv = primitive.getAttribute('TEXCOORD_0');
  if (uv) parts.push([uv, metresPerUv(positions, uv.getArray(), indices)]);
  const color = primitive.getAttribute('COLOR_0');
  if (color) parts.push([color, NORMAL_SHARE * diagonal]);
  const stride = parts.reduce((sum, [one]) => sum + one.getElementSize(), 0);
  const count = positions.length / 3;
  const values = new Float32Array(count * Math.max(stride, 1));
  const weights = [];
  let offset = 0;
  const value = [];
  for (const [one, weight] of parts) {
    for (let index = 0; index < count; index++) {
      one.getElement(index, value);
      for (let part = 0; part < one.getElementSize(); part++) values[index * stride + offset + part] = value[part];
    }
    weights.push(...Array(one.getElementSize()).fill(weight));
    offset += one.getElementSize();
  }
  return { values, stride, weights };
}

/** How much surface a unit of UV covers: the root of the areas' ratio. */
function metresPerUv(at, uv, indices) {
  let [surface, flat] = [0, 0];
  for (let index = 0; index < indices.length; index += 3) {
    const [a, b, c] = [indices[index], indices[index + 1], indices[index + 2]];
    const [ux, uy, uz] = [0, 1, 2].map((axis) => at[3 * b + axis] - at[3 * a + axis]);
    const [vx, vy, vz] = [0, 1, 2].map((axis) => at[3 * c + axis] - at[3 * a + axis]);
    surface += Math.hypot(uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx);
    flat += Math.abs((uv[2 * b] - uv[2 * a]) * (uv[2 * c + 1] - uv[2 * a + 1]) - (uv[2 * c] - uv[2 * a]) * (uv[2 * b + 1] - uv[2 * a + 1]));
  }
  return flat > 0 ? Math.sqrt(surface / flat) : 0;
}
