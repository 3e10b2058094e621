// Writes a GLB without default values and without accessor names, which take about a kilobyte of JSON for each material.

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Format } from '@gltf-transform/core';

const DEFAULTS = { normalized: false, byteOffset: 0, mode: 4, texCoord: 0 };
const FLOAT32_DIGITS = 8;
const JSON_CHUNK = 0x4e4f534a;
const BINARY_CHUNK = 0x004e4942;
const GLTF_VERSION = 2;

/** Return `document` as the bytes of a GLB. */
export async function glbBytes(io, document) {
  const { json, resources } = await io.writeJSON(document, { format: Format.GLB });
  const text = Buffer.from(JSON.stringify(withoutDefaults(json)));
  const binary = Buffer.from(Object.values(resources)[0] ?? new Uint8Array());
  const body = Buffer.concat([chunk(text, JSON_CHUNK, ' '), ...(binary.length ? [chunk(binary, BINARY_CHUNK, 0)] : [])]);
  const header = Buffer.alloc(12);
  header.write('glTF', 0);
  header.writeUInt32LE(GLTF_VERSION, 4);
  header.writeUInt32LE(header.length + body.length, 8);
  return Buffer.concat([header, body]);
}

/** Write a GLB, or a glTF with its resources, depending on the extension of `target`. */
export async function write(io, document, target) {
  if (path.extname(target) === '.glb') writeFileSync(target, await glbBytes(io, document));
  else await io.write(target, document);
}

function chunk(bytes, kind, padding) {
  const padded = Buffer.alloc(Math.ceil(bytes.length / 4) * 4, padding);
  bytes.copy(padded);
  const header = Buffer.alloc(8);
  header.writeUInt32LE(padded.length, 0);
  header.writeUInt32LE(kind, 4);
  return Buffer.concat([header, padded]);
}

function withoutDefaults(json) {
  for (const accessor of json.accessors ?? []) delete removeDefaults(accessor).name;
  for (const view of json.bufferViews ?? []) {
    removeDefaults(view);
    if (view.extensions) Object.values(view.extensions).forEach(removeDefaults);
  }
  for (const mesh of json.meshes ?? []) mesh.primitives.forEach(removeDefaults);
  // The bounds of accessors keep all digits: validators compare them with the vertices.
  for (const key of ['materials', 'nodes']) if (json[key]) json[key] = rounded(json[key]);
  return json;
}

function removeDefaults(item) {
  for (const [key, value] of Object.entries(DEFAULTS)) if (item[key] === value) delete item[key];
  return item;
}

/** Round all numbers in a JSON value to the digits that a 32-bit float has. */
function rounded(value) {
  if (typeof value === 'number') return Number(value.toPrecision(FLOAT32_DIGITS));
  if (Array.isArray(value)) return value.map(rounded);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rounded(item)]));
  return value;
}
