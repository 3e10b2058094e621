// What a glTF holds, and what the Khronos validator says of it: of the file as it is, and, as the validator cannot look
// into compressed geometry, of the same with its geometry unpacked.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { listTextureSlots } from '@gltf-transform/functions';
import validator from 'gltf-validator';
import { countTriangles, dropCompression, exactBounds, openIO, placedMeshes, progress, readDocument, run } from './document.mjs';

const MAX_ISSUES = 100;

await run(async (job) => {
  const io = await openIO();
  progress(0.1, 'checking the file');
  const validation = job.validate ? await validated(readFileSync(job.source), path.dirname(job.source)) : null;
  const document = await readDocument(io, job.source);
  const facts = factsOf(document);
  const packed = facts.extensions.some((one) => /meshopt|draco/.test(one));
  if (job.validate && packed) {
    progress(0.6, 'checking the geometry');
    dropCompression(document);
    validation.unpacked = await validated(await io.writeBinary(document));
  }
  return { facts, validation };
});

async function validated(bytes, folder = '') {
  const report = await validator.validateBytes(new Uint8Array(bytes), {
    maxIssues: MAX_ISSUES,
    externalResourceFunction: (uri) => readFile(path.join(folder, path.basename(decodeURIComponent(uri)))),
  });
  return {
    validator: report.validatorVersion,
    errors: report.issues.numErrors,
    warnings: report.issues.numWarnings,
    messages: report.issues.messages.filter((one) => one.severity <= 1),
  };
}

function factsOf(document) {
  const root = document.getRoot();
  const primitives = placedMeshes(document).flatMap(([, mesh]) => mesh.listPrimitives());
  const bounds = exactBounds(document);
  return {
    triangles: countTriangles(document),
    vertices: primitives.reduce((sum, one) => sum + (one.getAttribute('POSITION')?.getCount() ?? 0), 0),
    draw_calls: primitives.length,
    low: bounds?.low ?? [0, 0, 0],
    high: bounds?.high ?? [0, 0, 0],
    materials: root.listMaterials().map((one) => ({ name: one.getName(), alpha: one.getAlphaMode(), double_sided: one.getDoubleSided() })),
    textures: root.listTextures().map((one) => ({
      name: one.getName() || one.getURI(),
      format: one.getMimeType().replace('image/', ''),
      size: one.getSize() ?? [0, 0],
      bytes: one.getImage()?.byteLength ?? 0,
      slots: listTextureSlots(one),
    })),
    animations: root.listAnimations().length,
    extensions: root.listExtensionsUsed().map((one) => one.extensionName).sort(),
  };
}
