// Reports what a glTF contains. With `job.validate`, adds the report of the Khronos validator. The validator cannot
// read compressed geometry, so a compressed file is validated a second time without compression.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { listTextureSlots } from '@gltf-transform/functions';
import validator from 'gltf-validator';
import { countTriangles, exactBounds, openIO, placedMeshes, progress, readDocument, removeCompression, run } from './document.mjs';

const MAX_ISSUES = 100;
const WARNING = 1; // severity; 0 is an error

await run(async (job) => {
  const io = await openIO();
  progress(0.1, 'checking the file');
  const validation = job.validate ? await validate(readFileSync(job.source), path.dirname(job.source)) : null;
  const document = await readDocument(io, job.source);
  const contents = contentsOf(document);
  const isCompressed = contents.extensions.some((name) => /meshopt|draco/.test(name));
  if (job.validate && isCompressed) {
    progress(0.6, 'checking the geometry');
    removeCompression(document);
    validation.unpacked = await validate(await io.writeBinary(document));
  }
  return { contents, validation };
});

async function validate(bytes, folder = '') {
  const report = await validator.validateBytes(new Uint8Array(bytes), {
    maxIssues: MAX_ISSUES,
    externalResourceFunction: (uri) => readFile(path.join(folder, path.basename(decodeURIComponent(uri)))),
  });
  return {
    validator: report.validatorVersion,
    errors: report.issues.numErrors,
    warnings: report.issues.numWarnings,
    messages: report.issues.messages.filter((issue) => issue.severity <= WARNING),
  };
}

function contentsOf(document) {
  const root = document.getRoot();
  const primitives = placedMeshes(document).flatMap(([, mesh]) => mesh.listPrimitives());
  const bounds = exactBounds(document);
  return {
    triangles: countTriangles(document),
    vertices: primitives.reduce((sum, primitive) => sum + (primitive.getAttribute('POSITION')?.getCount() ?? 0), 0),
    draw_calls: primitives.length,
    low: bounds?.low ?? [0, 0, 0],
    high: bounds?.high ?? [0, 0, 0],
    materials: root.listMaterials().map((material) => ({
      name: material.getName(),
      alpha: material.getAlphaMode(),
      double_sided: material.getDoubleSided(),
    })),
    textures: root.listTextures().map((texture) => ({
      name: texture.getName() || texture.getURI(),
      format: texture.getMimeType().replace('image/', ''),
      width: texture.getSize()?.[0] ?? 0,
      height: texture.getSize()?.[1] ?? 0,
      size_bytes: texture.getImage()?.byteLength ?? 0,
      slots: listTextureSlots(texture),
    })),
    animations: root.listAnimations().length,
    extensions: root.listExtensionsUsed().map((extension) => extension.extensionName).sort(),
  };
}
