// Writes a GLB without what glTF takes for granted: default values and the names of accessors cost a kilobyte a material.

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Format } from '@gltf-transform/core';

const DEFAULTS = { normalized: false, byteOffset: 0, mode: 4, texCoord: 0 };

export async function glbBytes(io, document) {
  const { json, resources } = await io.writeJSON(document, { format: Format.GLB });
  const text = Buffer.from(JSON.stringify(lean(json)));
  const binary = Buffer.from(Object.values(resources)[0] ?? new Uint8Array());
  const chunk = (bytes, kind, filler) => {
    const padded = Buffer.alloc(Math.ceil(bytes.length / 4) * 4, filler);
    bytes.copy(padded);
    const head = Buffer.alloc(8);
    head.writeUInt32LE(padded.length, 0);
    head.writeUInt32LE(kind, 4);
    return Buffer.concat([head, padded]);
  };
  const body = Buffer.concat([chunk(text, 0x4e4f534a, 0x20), ...(binary.length ? [chunk(binary, 0x004e4942, 0)] : [])]);
  const head = Buffer.alloc(12);
  head.write('glTF', 0);
  head.writeUInt32LE(2, 4);
  head.writeUInt32LE(12 + body.length, 8);
  return Buffer.concat([head, body]);
}

export async function write(io, document, target) {
  if (path.extname(target) === '.glb') writeFileSync(target, await glbBytes(io, document));
  else await io.write(target, document);
}

function lean(json) {
  const drop = (one) => {
    for (const [key, value] of Object.entries(DEFAULTS)) if (one[key] === value) delete one[key];
    return one;
  };
  for (const accessor of json.accessors ?? []) delete drop(accessor).name;
  for (const view of json.bufferViews ?? []) {
    drop(view);
    if (view.extensions) Object.values(view.extensions).forEach(drop);
  }
  for (const mesh of json.meshes ?? []) mesh.primitives.forEach(drop);
  // 32-bit floats need no more digits. The accessors' bounds stay: validators compare them with the vertices.
  for (const key of ['materials', 'nodes']) if (json[key]) json[key] = rounded(json[key]);
  return json;
}

function rounded(value) {
  if (typeof value === 'number') return Number(value.toPrecision(8));
  if (Array.isArray(value)) return value.map(rounded);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, rounded(one)]));
  return value;
}
