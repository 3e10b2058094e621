// Shared by the scripts: the job protocol, and reading and measuring glTF documents.
//
// A script is started with the path of a JSON job. It writes its result as JSON to `job.result`: an object, or
// {"invalid": {"field": …, "message": …}} if it rejects its input. It prints `PROGRESS <fraction> <message>` lines.

import { readFileSync, writeFileSync } from 'node:fs';
import { Logger, NodeIO } from '@gltf-transform/core';
import { ALL_EXTENSIONS } from '@gltf-transform/extensions';
import draco3d from 'draco3dgltf';
import { MeshoptDecoder, MeshoptEncoder } from 'meshoptimizer';

const COMPRESSION_EXTENSIONS = ['EXT_meshopt_compression', 'KHR_meshopt_compression', 'KHR_draco_mesh_compression'];
const MAX_REASON_LENGTH = 200;

/** The input is rejected. `field` is the name of the API field, or `model` for the 3D model. */
export class InvalidInput extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/** Run `main` on the job whose path is the last command line argument, and write its result. */
export async function run(main) {
  const job = JSON.parse(readFileSync(process.argv.at(-1), 'utf-8'));
  let result;
  try {
    result = await main(job);
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    result = { invalid: { field: error.field, message: error.message } };
  }
  writeFileSync(job.result, JSON.stringify(result));
}

export function progress(fraction, message) {
  console.log(`PROGRESS ${fraction.toFixed(3)} ${message}`);
}

/** Return a reader and writer that supports every extension, Draco and meshopt. */
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
    throw new InvalidInput('model', `it is not a readable glTF: ${reasonOf(error)}`);
  }
}

/** Remove the compression of geometry, so that the document is written without it. */
export function removeCompression(document) {
  for (const extension of document.getRoot().listExtensionsUsed()) {
    if (COMPRESSION_EXTENSIONS.includes(extension.extensionName)) extension.dispose();
  }
}

/** Return [node, mesh] for each mesh of the default scene. */
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

/** Return the bounding box of the default scene, computed from every vertex, or null if there is none. */
export function exactBounds(document) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  const point = [];
  for (const [node, mesh] of placedMeshes(document)) {
    const matrix = node.getWorldMatrix();
    for (const primitive of mesh.listPrimitives()) {
      const position = primitive.getAttribute('POSITION');
      for (let index = 0; index < (position?.getCount() ?? 0); index++) {
        const world = transformPoint(matrix, position.getElement(index, point));
        for (let axis = 0; axis < 3; axis++) {
          low[axis] = Math.min(low[axis], world[axis]);
          high[axis] = Math.max(high[axis], world[axis]);
        }
      }
    }
  }
  return low.every(Number.isFinite) && high.every(Number.isFinite) ? { low, high } : null;
}

/** Transform a point by a column-major 4 × 4 matrix. */
export function transformPoint(matrix, [x, y, z]) {
  return [
    matrix[0] * x + matrix[4] * y + matrix[8] * z + matrix[12],
    matrix[1] * x + matrix[5] * y + matrix[9] * z + matrix[13],
    matrix[2] * x + matrix[6] * y + matrix[10] * z + matrix[14],
  ];
}

/** Return the normal of a triangle. Its length is twice the area of the triangle. `positions` is a flat array. */
export function faceNormal(positions, a, b, c) {
  const [ux, uy, uz] = [0, 1, 2].map((axis) => positions[3 * b + axis] - positions[3 * a + axis]);
  const [vx, vy, vz] = [0, 1, 2].map((axis) => positions[3 * c + axis] - positions[3 * a + axis]);
  return [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
}

/** Return the number of triangles of the default scene. All primitives must be triangle lists. */
export function countTriangles(document) {
  return placedMeshes(document)
    .flatMap(([, mesh]) => mesh.listPrimitives())
    .reduce((sum, primitive) => sum + Math.floor((primitive.getIndices() ?? primitive.getAttribute('POSITION')).getCount() / 3), 0);
}

/** Return the message of an error in one line, without paths and without internals of JavaScript. */
export function reasonOf(error) {
  if (error instanceof TypeError || error instanceof RangeError) return 'its data is inconsistent';
  return String(error?.message ?? error).split('\n')[0].replace(/\/\S+\//g, '').slice(0, MAX_REASON_LENGTH);
}
