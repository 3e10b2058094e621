// The base GLB → a GLB (or glTF with its resources) within a budget of triangles, bytes and texture size.
//
// What nobody sees is always done: equal things merged, parts of one material joined, triangles dropped as far as the
// surface moves by `tolerances[0]` of the diagonal. More is done only where the budget asks for it: first coarser
// geometry, then textures of lower quality, then smaller textures.

import { cloneDocument, dedup, draco, flatten, join, meshopt, prune, weld } from '@gltf-transform/functions';
import { MeshoptEncoder } from 'meshoptimizer';
import { countTriangles, openIO, progress, readModel, run } from './document.mjs';
import { simplify } from './simplify.mjs';
import { declareCodec, encoded } from './textures.mjs';

const QUALITIES = [86, 78, 68, 56];
const SMALLEST_SIDE = 256;
const GEOMETRY_SHARE = 0.5; // of the bytes; where geometry takes more, it is simplified further before textures suffer
const NORMAL_STEPS = 127; // normals are stored in 8 bits a component; equal ones can be merged before
const TEXEL_PART = 8; // UVs are kept to this part of a texel

await run(async (job) => {
  const io = await openIO();
  const whole = await readModel(io, job.source);
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
  progress(0.9, 'writing');
  await io.write(job.target, document);
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
    const triangles = countTriangles(document);
    const last = step === job.tolerances.length - 1;
    // Up to the first tolerance nothing is seen; beyond it only as many triangles go as must.
    await simplify(document, tolerance, { maxTriangles: step ? job.max_triangles : 0, keepBorders: !last });
    await document.transform(weld({ cleanup: false }), prune({ keepAttributes: true, keepSolidTextures: true }));
    if (job.max_triangles && countTriangles(document) > job.max_triangles) continue;
    if (!job.max_bytes || triangles < 100) break;
    const bytes = (await compressed(io, withoutTextures(document), job.mesh)).byteLength;
    if (bytes <= job.max_bytes * GEOMETRY_SHARE) break;
  }
  await compress(document, job.mesh);
  return { document, tolerance };
}

async function fitTextures(io, document, job) {
  const textures = document.getRoot().listTextures();
  const originals = textures.map((one) => [one.getImage(), one.getMimeType()]);
  const mimes = { webp: 'image/webp', ktx2: 'image/ktx2' };
  declareCodec(document, job.codec);
  if (job.codec === 'original' && !job.max_bytes && !job.texture_px) return { quality: 0, texture_px: 0 };
  const geometry = (await io.writeBinary(withoutTextures(document))).byteLength;
  for (let side = job.texture_px || 16384; ; side = Math.floor(side / 2)) {
    for (const quality of job.codec === 'original' ? [0] : QUALITIES) {
      progress(0.7, 'writing the textures');
      let bytes = geometry;
      for (const [index, texture] of textures.entries()) {
        const [image, mime] = originals[index];
        const made = new Uint8Array(await encoded(texture, image, mime, job.codec, side, quality));
        bytes += made.byteLength;
        texture.setImage(made).setMimeType(mimes[job.codec] ?? mime);
        const kind = { webp: 'webp', ktx2: 'ktx2' }[job.codec] ?? (mime === 'image/jpeg' ? 'jpg' : 'png');
        texture.setURI(`texture-${index}.${kind}`);
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

async function compressed(io, document, codec) {
  await compress(document, codec);
  return io.writeBinary(document);
}

async function compress(document, codec) {
  if (codec === 'meshopt') await document.transform(meshopt({ encoder: MeshoptEncoder, level: 'high', quantizeTexcoord: 16 }));
  if (codec === 'draco') await document.transform(draco({ method: 'edgebreaker', quantizePosition: 14, quantizeNormal: 8, quantizeTexcoord: 14 }));
}

/** Round normals and UVs to what is kept of them anyway, so that vertices that will be equal merge now. */
function snap(document, side) {
  for (const mesh of document.getRoot().listMeshes()) {
    for (const primitive of mesh.listPrimitives()) {
      for (const semantic of primitive.listSemantics()) {
        const steps = semantic === 'NORMAL' ? NORMAL_STEPS : semantic.startsWith('TEXCOORD') ? TEXEL_PART * (side || 4096) : 0;
        const values = primitive.getAttribute(semantic).getArray();
        if (!steps || !(values instanceof Float32Array)) continue;
        primitive.getAttribute(semantic).setArray(values.map((one) => Math.round(one * steps) / steps));
      }
    }
  }
}
