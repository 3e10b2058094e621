// Writes a base GLB as a GLB, or as a glTF with its resources, within a budget of triangles, bytes and texture size.
//
// Invisible reductions always run: merging equal data, joining meshes of one material, and simplifying within the first
// tolerance. If the budget requires more, the geometry is simplified further, then the quality of the textures is
// reduced, then their size.

import { cloneDocument, dedup, draco, flatten, join, prune, quantize, reorder, weld } from '@gltf-transform/functions';
import { EXTMeshoptCompression, KHRMeshQuantization } from '@gltf-transform/extensions';
import { MeshoptEncoder } from 'meshoptimizer';
import { countTriangles, openIO, placedMeshes, progress, readDocument, run } from './document.mjs';
import { glbBytes, write } from './glb.mjs';
import { simplify } from './simplify.mjs';
import { declareTextureExtensions, encodeTexture, isTransparent, usesAlpha } from './textures.mjs';
import { quantizeUvs, roundAttributes } from './uvs.mjs';

const QUALITIES = [80, 72, 62, 50]; // of WebP and KTX2, tried in this order
// Positions are exact to 1/16,384 of the longest side, an eighth of what the first tolerance allows.
const POSITION_BITS = 13;
const NORMAL_BITS = 8;
const EXTENSIONS = { 'image/webp': 'webp', 'image/ktx2': 'ktx2', 'image/jpeg': 'jpg', 'image/png': 'png' };
const MIME_TYPES = { webp: 'image/webp', ktx2: 'image/ktx2' };
const MIN_TEXTURE_PX = 256;
const MAX_TEXTURE_PX = 16384; // if the budget sets no limit
// Geometry that takes more than this share of the budget is simplified further before the textures are reduced. Not tuned.
const GEOMETRY_SHARE = 0.5;

await run(async (job) => {
  const io = await openIO();
  const original = await readDocument(io, job.source);
  progress(0.05, 'joining meshes of one material');
  const hasVariants = original.getRoot().listExtensionsUsed().some((extension) => extension.extensionName === 'KHR_materials_variants');
  if (job.join && !hasVariants) await original.transform(flatten({ cleanup: false }), join({ cleanup: false }));
  if (job.mesh_codec !== 'none') roundAttributes(original, job.texture_px);
  await original.transform(
    weld({ cleanup: false }),
    dedup({ keepUniqueNames: true }),
    prune({ keepAttributes: !job.join, keepSolidTextures: !job.join, keepLeaves: false }),
  );
  const { document, tolerance } = await fitGeometry(io, original, job);
  const textures = await fitTextures(io, document, job);
  declareTextureExtensions(document);
  progress(0.9, 'writing');
  await write(io, document, job.target);
  return { tolerance, ...textures };
});

/** Simplify with the first tolerance that meets the triangle budget and leaves enough bytes for textures, otherwise with the last. */
async function fitGeometry(io, original, job) {
  let document = original;
  let tolerance = 0;
  for (const [step, candidate] of job.tolerances.entries()) {
    tolerance = candidate;
    progress(0.1 + (0.5 * step) / job.tolerances.length, 'simplifying');
    document = cloneDocument(original);
    const isLast = step === job.tolerances.length - 1;
    // With the first tolerance, whose changes are invisible, always simplify fully. With the others, stop at the triangle budget.
    if (tolerance) await simplify(document, tolerance, { maxTriangles: step ? job.max_triangles : 0, keepBorders: !isLast });
    await document.transform(weld({ cleanup: false }), prune({ keepAttributes: true, keepSolidTextures: true }));
    if (job.max_triangles && countTriangles(document) > job.max_triangles) continue;
    if (!job.max_bytes) break;
    const geometry = withoutTextures(document);
    await compress(geometry, job);
    const bytes = (await glbBytes(io, geometry)).byteLength;
    if (bytes <= job.max_bytes * GEOMETRY_SHARE) break;
  }
  await compress(document, job);
  return { document, tolerance };
}

/** Encode the textures with the highest quality and size that meet the budget of bytes. */
async function fitTextures(io, document, job) {
  const isUnchanged = job.texture_codec === 'original' && !job.max_bytes && !job.texture_px;
  if (isUnchanged) return { quality: 0, texture_px: 0 };
  const originals = [];
  for (const texture of document.getRoot().listTextures()) {
    const image = texture.getImage();
    const hasAlpha = usesAlpha(texture) && (await isTransparent(image));
    originals.push({ texture, image, mimeType: texture.getMimeType(), originalSide: Math.max(...texture.getSize()), hasAlpha });
  }
  const geometryBytes = (await glbBytes(io, withoutTextures(document))).byteLength;
  const qualities = job.texture_codec === 'original' ? [0] : QUALITIES;
  for (let side = job.texture_px || MAX_TEXTURE_PX; ; side = Math.floor(side / 2)) {
    for (const quality of qualities) {
      progress(0.7, 'writing the textures');
      const bytes = geometryBytes + (await encodeTextures(originals, job.texture_codec, side, quality));
      if (!job.max_bytes || bytes <= job.max_bytes || !originals.length) return { quality, texture_px: side };
      if (side / 2 < MIN_TEXTURE_PX && quality === qualities.at(-1)) return { quality, texture_px: side };
    }
  }
}

/** Encode all textures in the document. Returns their total size in bytes. */
async function encodeTextures(originals, codec, side, quality) {
  let bytes = 0;
  for (const [index, original] of originals.entries()) {
    const { texture, image, mimeType, originalSide } = original;
    const encoded = new Uint8Array(await encodeTexture(original, codec, side, quality));
    // Keep an original that is smaller than its WebP. KTX2 always replaces it, because KTX2 saves graphics memory.
    const keepsOriginal = codec === 'webp' && encoded.byteLength >= image.byteLength && originalSide <= side;
    bytes += keepsOriginal ? image.byteLength : encoded.byteLength;
    if (keepsOriginal) texture.setImage(image).setMimeType(mimeType);
    else texture.setImage(encoded).setMimeType(MIME_TYPES[codec] ?? mimeType);
    texture.setURI(`texture-${index}.${EXTENSIONS[texture.getMimeType()]}`);
  }
  return bytes;
}

function withoutTextures(document) {
  const copy = cloneDocument(document);
  for (const texture of copy.getRoot().listTextures()) texture.dispose();
  return copy;
}

async function compress(document, job) {
  if (job.mesh_codec === 'none') return;
  const uvBits = quantizeUvs(document, job.texture_px, job.mesh_codec === 'meshopt');
  const bits = { quantizeNormal: NORMAL_BITS, quantizeTexcoord: uvBits };
  if (job.mesh_codec === 'draco') {
    await document.transform(draco({ method: 'edgebreaker', quantizePosition: POSITION_BITS, ...bits }));
    return;
  }
  // The same as `meshopt` of glTF-Transform, except that positions are integers of POSITION_BITS, which compress better.
  await document.transform(reorder({ encoder: MeshoptEncoder, target: 'size' }), quantize({ pattern: /^(TEXCOORD|COLOR)_/, ...bits, cleanup: false }));
  for (const [node, mesh] of placedMeshes(document)) positionsToIntegers(node, mesh);
  document.createExtension(KHRMeshQuantization).setRequired(true);
  document.createExtension(EXTMeshoptCompression).setRequired(true).setEncoderOptions({ method: EXTMeshoptCompression.EncoderMethod.FILTER });
}

/** Convert positions to integers from 0 to 2^POSITION_BITS - 1. The transform of the node maps them back to metres. */
function positionsToIntegers(node, mesh) {
  const positions = [...new Set(mesh.listPrimitives().map((primitive) => primitive.getAttribute('POSITION')))];
  const low = [0, 1, 2].map((axis) => Math.min(...positions.map((accessor) => accessor.getMin([])[axis])));
  const high = [0, 1, 2].map((axis) => Math.max(...positions.map((accessor) => accessor.getMax([])[axis])));
  const step = Math.max(...[0, 1, 2].map((axis) => high[axis] - low[axis])) / (2 ** POSITION_BITS - 1);
  for (const accessor of positions) {
    accessor.setArray(Uint16Array.from(accessor.getArray(), (value, index) => Math.round((value - low[index % 3]) / step)));
  }
  node.setTranslation(low).setScale([step, step, step]);
}
