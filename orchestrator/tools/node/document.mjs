// What the scripts share: the job file, refusals, progress, and reading and writing glTF with every extension.
//
// A script is started with the path of a JSON job. It writes its answer to `job.result` as JSON: an object of its own,
// or {"refused": {"field": …, "message": …}} where the model cannot be used. It tells of progress as Blender's scripts.

import { readFileSync, writeFileSync } from 'node:fs';
import { Logger, NodeIO } from '@gltf-transform/core';
import { ALL_EXTENSIONS } from '@gltf-transform/extensions';
import draco3d from 'draco3dgltf';
import { MeshoptDecoder, MeshoptEncoder } from 'meshoptimizer';

export class InvalidInput extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

export async function run(main) {
  const job = JSON.parse(readFileSync(process.argv.at(-1), 'utf-8'));
  let answer;
  try {
    answer = await main(job);
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    answer = { invalid: { field: error.field, message: error.message } };
  }
  writeFileSync(job.result, JSON.stringify(answer));
}

export function progress(fraction, message) {
  console.log(`PROGRESS ${fraction.toFixed(3)} ${message}`);
}

export async function openIO() {
  await Promise.all([MeshoptDecoder.ready, MeshoptEncoder.ready]);
  return new NodeIO()
    .setLogger(new Logger(Logger.Verbosity.ERROR))
    .registerExtensions(ALL_EXTENSIONS)
    .registerDependencies({
      'draco3d.decoder': await draco3d.createDecoderModule(),
      'draco3d.encoder': await draco3d.createEncoderModule(),
      'meshopt.decoder': MeshoptDecoder,
      'meshopt.encoder': MeshoptEncoder,
    });
}

export async function readDocument(io, path) {
  try {
    return await io.read(path);
  } catch (error) {
    throw new InvalidInput('model', `it is no glTF that can be read: ${reasonOf(error)}`);
  }
}

/** Drop compression of geometry: what is written next is plain. */
export function dropCompression(document) {
  for (const extension of document.getRoot().listExtensionsUsed()) {
    if (['EXT_meshopt_compression', 'KHR_meshopt_compression', 'KHR_draco_mesh_compression'].includes(extension.extensionName)) {
      extension.dispose();
    }
  }
}

/** The meshes that stand in the scene, with their nodes. */
export function placedMeshes(document) {
  const placed = [];
  defaultScene(document)?.traverse((node) => {
    const mesh = node.getMesh();
    if (mesh) placed.push([node, mesh]);
  });
  return placed;
}

export function defaultScene(document) {
  const root = document.getRoot();
  return root.getDefaultScene() ?? root.listScenes()[0];
}

/** The box around everything that the scene shows, vertex by vertex; null where there is none. */
export function exactBounds(document) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  const point = [];
  for (const [node, mesh] of placedMeshes(document)) {
    const matrix = node.getWorldMatrix();
    for (const primitive of mesh.listPrimitives()) {
      const position = primitive.getAttribute('POSITION');
      for (let index = 0; index < (position?.getCount() ?? 0); index++) {
        const at = transformed(matrix, position.getElement(index, point));
        for (let axis = 0; axis < 3; axis++) {
          low[axis] = Math.min(low[axis], at[axis]);
          high[axis] = Math.max(high[axis], at[axis]);
        }
      }
    }
  }
  return low.every(Number.isFinite) && high.every(Number.isFinite) ? { low, high } : null;
}

export function transformed(m, [x, y, z]) {
  return [
    m[0] * x + m[4] * y + m[8] * z + m[12],
    m[1] * x + m[5] * y + m[9] * z + m[13],
    m[2] * x + m[6] * y + m[10] * z + m[14],
  ];
}

export function countTriangles(document) {
  return placedMeshes(document)
    .flatMap(([, mesh]) => mesh.listPrimitives())
    .reduce((sum, one) => sum + Math.floor((one.getIndices() ?? one.getAttribute('POSITION')).getCount() / 3), 0);
}

/** An error in one line without paths. */
export function reasonOf(error) {
  if (error instanceof TypeError || error instanceof RangeError) return 'its data is inconsistent';
  return String(error?.message ?? error).split('\n')[0].replace(/\/\S+\//g, '').slice(0, 200);
}
