// The base GLB → a GLB (or glTF with its resources) within a budget of triangles, bytes and texture size.
//
// What nobody sees is always done: equal things merged, parts of one material joined, triangles dropped as far as the
// surface moves by `tolerances[0]` of the diagonal. More is done only where the budget asks for it: first coarser
// geometry, then textures of lower quality, then smaller textures.

import { cloneDocument, dedup, draco, flatten, join, prune, quantize, reorder, weld } from '@gltf-transform/functions';
import { EXTMeshoptCompression, KHRMeshQuantization } from '@gltf-transform/extensions';
import { MeshoptEncoder } from 'meshoptimizer';
import { countTriangles, openIO, placedMeshes, progress, readDocument, run } from './document.mjs';
import { glbBytes, write } from './glb.mjs';
import { simplify } from './simplify.mjs';
import { declareCodec, encoded } from './textures.mjs';
import { fold, snap } from './uvs.mjs';

const QUALITIES = [80, 72, 62, 50];
const POSITION_BITS = 13; // off by a 16,384th of the longest side at most, an eighth of what simplifying may move
const KINDS = { 'image/webp': 'webp', 'image/ktx2': 'ktx2', 'image/jpeg': 'jpg', 'image/png': 'png' };
const SMALLEST_SIDE = 256;
const GEOMETRY_SHARE = 0.5; // of the bytes; where geometry takes more, it is simplified further before textures suffer

await run(async (job) => {
  const io = await openIO();
  const whole = await readDocument(io, job.source);
  progress(0.05, 'joining parts of one material');
  const hasVariants = whole.getRoot().listExtensionsUsed().some((one) => one.extensionName === 'KHR_materials_variants');
  if (job.join && !hasVariants) await whole.transform(flatten({ cleanup: false }), join({ cleanup: false }));
  if (job.mesh !== 'none') snap(whole, job.texture_px);
  await whole.transform(
    weld({ cleanup: false }),
    dedup({ keepUniqueNames: true }),
    prune({ keepAttributes: !job.join, keepSolidTextures: !job.join, keepLeaves: false }),
  );
  const { document, tolerance } = await lightEnough(io, whole, job);
  const textures = await fitTextures(io, document, job);
  declareCodec(document);
  progress(0.9, 'writing');
  await write(io, document, job.target);
  return { tolerance, ...textures };
});

/** The coarsest that is needed: within the triangles, and small enough to leave room for textures. */
async function lightEnough(io, whole, job) {
  let document = whole;
  let tolerance = 0;
  for (const [step, next] of job.tolerances.entries()) {
    tolerance = next;
    progress(0.1 + (0.5 * step) / job.tolerances.length, 'simplifying');
    document = cloneDocument(whole);
    const last = step === job.tolerances.length - 1;
    // Up to the first tolerance nothing is seen; beyond it only as many triangles go as must.
    if (tolerance) await simplify(document, tolerance, { maxTriangles: step ? job.max_triangles : 0, keepBorders: !last });
    await document.transform(weld({ cleanup: false }), prune({ keepAttributes: true, keepSolidTextures: true }));
    if (job.max_triangles && countTriangles(document) > job.max_triangles) continue;
    if (!job.max_bytes) break;
    const copy = withoutTextures(document);
    await compress(copy, job);
    const bytes = (await glbBytes(io, copy)).byteLength;
    if (bytes <= job.max_bytes * GEOMETRY_SHARE) break;
  }
  await compress(document, job);
  return { document, tolerance };
}

async function fitTextures(io, document, job) {
  const textures = document.getRoot().listTextures();
  const originals = textures.map((one) => [one.getImage(), one.getMimeType()]);
  const mimes = { webp: 'image/webp', ktx2: 'image/ktx2' };
  if (job.codec === 'original' && !job.max_bytes && !job.texture_px) return { quality: 0, texture_px: 0 };
  const geometry = (await glbBytes(io, withoutTextures(document))).byteLength;
  for (let side = job.texture_px || 16384; ; side = Math.floor(side / 2)) {
    for (const quality of job.codec === 'original' ? [0] : QUALITIES) {
      progress(0.7, 'writing the textures');
      let bytes = geometry;
      for (const [index, texture] of textures.entries()) {
        const [image, mime] = originals[index];
        const made = new Uint8Array(await encoded(texture, image, mime, job.codec, side, quality));
        // A small JPEG may be smaller than its WebP. KTX2 is for the graphics memory, whatever the file's size.
        const kept = job.codec === 'webp' && made.byteLength >= image.byteLength && Math.max(...texture.getSize()) <= side;
        bytes += kept ? image.byteLength : made.byteLength;
        if (kept) texture.setImage(image).setMimeType(mime);
        else texture.setImage(made).setMimeType(mimes[job.codec] ?? mime);
        texture.setURI(`texture-${index}.${KINDS[texture.getMimeType()]}`);
      }
      if (!job.max_bytes || bytes <= job.max_bytes || !textures.length) return { quality, texture_px: side };
      if (side / 2 < SMALLEST_SIDE && (quality === QUALITIES.at(-1) || !quality)) return { quality, texture_px: side };
    }
  }
}

function withoutTextures(document) {
  const copy = cloneDocument(document);
  for (const one of copy.getRoot().listTextures()) one.dispose();
  return copy;
}

async function compress(document, job) {
  if (job.mesh === 'none') return;
  const bits = { quantizeNormal: 8, quantizeTexcoord: Math.max(8, fold(document, job.texture_px, job.mesh === 'meshopt')) };
  if (job.mesh === 'draco') {
    await document.transform(draco({ method: 'edgebreaker', quantizePosition: POSITION_BITS, ...bits }));
    return;
  }
  // As `meshopt` of glTF-Transform, but positions as integers of just their bits, which pack better.
  await document.transform(reorder({ encoder: MeshoptEncoder, target: 'size' }), quantize({ pattern: /^(TEXCOORD|COLOR)_/, ...bits, cleanup: false }));
  for (const [node, mesh] of placedMeshes(document)) toIntegers(node, mesh);
  document.createExtension(KHRMeshQuantization).setRequired(true);
  document.createExtension(EXTMeshoptCompression).setRequired(true).setEncoderOptions({ method: EXTMeshoptCompression.EncoderMethod.FILTER });
}

/** Positions as integers from 0 to 2^POSITION_BITS - 1, which the node's transform takes back to metres. */
function toIntegers(node, mesh) {
  const positions = [...new Set(mesh.listPrimitives().map((one) => one.getAttribute('POSITION')))];
  const low = [0, 1, 2].map((axis) => Math.min(...positions.map((one) => one.getMin([])[axis])));
  const high = [0, 1, 2].map((axis) => Math.max(...positions.map((one) => one.getMax([])[axis])));
  const step = Math.max(...[0, 1, 2].map((axis) => high[axis] - low[axis])) / (2 ** POSITION_BITS - 1);
  for (const one of positions) one.setArray(Uint16Array.from(one.getArray(), (value, index) => Math.round((value - low[index % 3]) / step)));
  node.setTranslation(low).setScale([step, step, step]);
}
