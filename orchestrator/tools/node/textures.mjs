// Textures: read any kind, see whether they let light through, resize, and write as WebP, KTX2, PNG or JPEG.

import { createRequire } from 'node:module';
import { EXTTextureWebP, KHRTextureBasisu } from '@gltf-transform/extensions';
import { getTextureColorSpace, listTextureSlots } from '@gltf-transform/functions';
import sharp from 'sharp';
import { InvalidInput, reasonOf } from './document.mjs';

const MAX_PIXELS = 16384 ** 2;
const RGBA32 = 13; // basisu's transcoder_texture_format::cTFRGBA32
const THROUGH = 250; // an alpha below this is meant; above it is noise of lossy compression

sharp.cache(false);
sharp.concurrency(1);

const open = (bytes) => sharp(bytes, { limitInputPixels: MAX_PIXELS });

/** WebP, AVIF and KTX2 become PNG, which every program reads; what cannot be read is refused. */
export async function decodeTextures(document, notes) {
  for (const texture of document.getRoot().listTextures()) {
    const name = JSON.stringify(texture.getName() || texture.getURI() || 'without a name');
    const bytes = texture.getImage();
    if (!bytes?.length) {
      notes.push(`texture ${name} is empty and was dropped`);
      texture.dispose();
      continue;
    }
    try {
      if (texture.getMimeType() === 'image/ktx2') texture.setImage(await decodeKtx2(bytes));
      else if (['jpeg', 'png'].includes((await open(bytes).metadata()).format)) {
        texture.setMimeType(`image/${(await open(bytes).metadata()).format}`);
        await open(bytes).stats(); // reads every pixel: a picture cut short is found here
        continue;
      } else texture.setImage(await open(bytes).png().toBuffer());
    } catch (error) {
      throw new InvalidInput('model', `texture ${name} cannot be read: ${reasonOf(error)}`);
    }
    texture.setMimeType('image/png');
  }
  for (const one of document.getRoot().listExtensionsUsed()) {
    if (['EXT_texture_webp', 'EXT_texture_avif', 'KHR_texture_basisu'].includes(one.extensionName)) one.dispose();
  }
}

async function decodeKtx2(bytes) {
  const { default: basis } = await import(new URL('dist/basis/basis_encoder.js', packageFolder('ktx2-encoder')));
  const { KTX2File, initializeBasis } = await basis();
  initializeBasis();
  const file = new KTX2File(new Uint8Array(bytes));
  try {
    if (!file.isValid() || !file.startTranscoding()) throw new Error('no valid KTX2');
    const [width, height] = [file.getWidth(), file.getHeight()];
    const pixels = new Uint8Array(file.getImageTranscodedSizeInBytes(0, 0, 0, RGBA32));
    if (!file.transcodeImage(pixels, 0, 0, 0, RGBA32, 0, -1, -1)) throw new Error('it cannot be transcoded');
    return await sharp(pixels, { raw: { width, height, channels: 4 } }).png().toBuffer();
  } finally {
    file.close();
    file.delete();
  }
}

function packageFolder(name) {
  const paths = createRequire(import.meta.url).resolve.paths(name);
  return new URL(`file://${paths[0]}/${name}/`);
}

export async function seesThrough(texture) {
  const { channels, isOpaque } = await open(texture.getImage()).stats();
  return !isOpaque && (channels.length === 2 || channels.length === 4) && channels.at(-1).min < THROUGH;
}

/** One texture in the codec wanted, at most `side` pixels long. */
export async function encoded(texture, bytes, mime, codec, side, quality) {
  const { width, height } = await open(bytes).metadata();
  const shrink = Math.min(1, side / Math.max(width, height));
  const color = getTextureColorSpace(texture) === 'srgb';
  const through = usesAlpha(texture) && (await seesThrough(texture));
  let picture = open(bytes);
  if (!through) picture = picture.removeAlpha();
  if (codec === 'ktx2') {
    const four = (length) => Math.max(4, Math.round((length * shrink) / 4) * 4); // blocks are 4 × 4
    return ktx2(picture.resize(four(width), four(height), { fit: 'fill' }), listTextureSlots(texture), color, quality);
  }
  if (shrink < 1) picture = picture.resize(Math.round(width * shrink), Math.round(height * shrink), { fit: 'fill', kernel: 'lanczos3' });
  if (codec === 'webp') {
    // Normals and ORM are numbers: they keep more than colours do.
    return picture.webp({ quality: color ? quality : Math.min(100, quality + 8), effort: 6, smartSubsample: true }).toBuffer();
  }
  if (shrink === 1) return bytes;
  return (mime === 'image/jpeg' ? picture.jpeg({ quality: 92, chromaSubsampling: color ? '4:2:0' : '4:4:4' }) : picture.png()).toBuffer();
}

async function ktx2(picture, slots, color, quality) {
  const { encodeToKTX2 } = await import('ktx2-encoder');
  const normal = slots.includes('normalTexture');
  const { data, info } = await picture.ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  // ETC1S is small and blocky; normals and ORM need UASTC.
  return encodeToKTX2(data, {
    isUASTC: !color,
    enableRDO: !color,
    rdoQualityLevel: 1.5,
    needSupercompression: !color,
    qualityLevel: Math.round(quality * 2.4),
    generateMipmap: true,
    isNormalMap: normal,
    isPerceptual: color,
    isSetKTX2SRGBTransferFunc: color,
    imageDecoder: async () => ({ width: info.width, height: info.height, data }),
  });
}

/** Whether a material that is not opaque takes its alpha from the texture. */
function usesAlpha(texture) {
  return texture.listParents().some((one) => one.propertyType === 'Material' && one.getBaseColorTexture() === texture && one.getAlphaMode() !== 'OPAQUE')
    || listTextureSlots(texture).some((slot) => /specularTexture|sheenRoughnessTexture|diffuseTransmissionTexture/.test(slot));
}

/** Say in the document what its textures are. */
export function declareCodec(document) {
  const kinds = { 'image/webp': EXTTextureWebP, 'image/ktx2': KHRTextureBasisu };
  for (const [mime, extension] of Object.entries(kinds)) {
    if (document.getRoot().listTextures().some((one) => one.getMimeType() === mime)) document.createExtension(extension).setRequired(true);
  }
}
