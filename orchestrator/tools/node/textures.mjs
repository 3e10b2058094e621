// Decodes and encodes textures: WebP, KTX2, PNG and JPEG. Detects transparency.

import { createRequire } from 'node:module';
import { EXTTextureWebP, KHRTextureBasisu } from '@gltf-transform/extensions';
import { getTextureColorSpace, listTextureSlots } from '@gltf-transform/functions';
import sharp from 'sharp';
import { InvalidInput, reasonOf } from './document.mjs';

const MAX_PIXELS = 16384 ** 2;
const RGBA32 = 13; // basisu's transcoder_texture_format::cTFRGBA32
// An alpha of at least this counts as opaque, because lossy compression adds noise to alpha. Not tuned.
const OPAQUE_ALPHA = 250;
// Normals and ORM are data and get a higher WebP quality than colours. Not tuned.
const DATA_QUALITY_BONUS = 8;
const JPEG_QUALITY = 92;
const KTX2_BLOCK = 4; // width and height must be multiples of the block size, in pixels
const DECODED_EXTENSIONS = ['EXT_texture_webp', 'EXT_texture_avif', 'KHR_texture_basisu'];
const ALPHA_SLOTS = /specularTexture|sheenRoughnessTexture|diffuseTransmissionTexture/;

sharp.cache(false);
sharp.concurrency(1);

const open = (bytes) => sharp(bytes, { limitInputPixels: MAX_PIXELS });

/** Convert WebP, AVIF and KTX2 to PNG, which every program reads. Removes empty textures, rejects unreadable ones. */
export async function decodeTextures(document, notes) {
  for (const texture of document.getRoot().listTextures()) {
    const name = JSON.stringify(texture.getName() || texture.getURI() || 'without a name');
    if (!texture.getImage()?.length) {
      notes.push(`texture ${name} is empty and was removed`);
      texture.dispose();
      continue;
    }
    try {
      await decodeTexture(texture);
    } catch (error) {
      throw new InvalidInput('model', `texture ${name} cannot be read: ${reasonOf(error)}`);
    }
  }
  for (const extension of document.getRoot().listExtensionsUsed()) {
    if (DECODED_EXTENSIONS.includes(extension.extensionName)) extension.dispose();
  }
}

async function decodeTexture(texture) {
  const bytes = texture.getImage();
  if (texture.getMimeType() === 'image/ktx2') {
    texture.setImage(await decodeKtx2(bytes)).setMimeType('image/png');
    return;
  }
  const { format } = await open(bytes).metadata();
  if (format === 'jpeg' || format === 'png') {
    texture.setMimeType(`image/${format}`);
    await open(bytes).stats(); // reads every pixel, so it fails for a truncated image
  } else {
    texture.setImage(await open(bytes).png().toBuffer()).setMimeType('image/png');
  }
}

async function decodeKtx2(bytes) {
  const { default: basis } = await import(new URL('dist/basis/basis_encoder.js', packageFolder('ktx2-encoder')));
  const { KTX2File, initializeBasis } = await basis();
  initializeBasis();
  const file = new KTX2File(new Uint8Array(bytes));
  try {
    if (!file.isValid() || !file.startTranscoding()) throw new Error('it is not a valid KTX2');
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

/** Return whether any pixel of an image is transparent. */
export async function isTransparent(bytes) {
  const { channels, isOpaque } = await open(bytes).stats();
  return !isOpaque && (channels.length === 2 || channels.length === 4) && channels.at(-1).min < OPAQUE_ALPHA;
}

/** Return an `original` image of a texture in `codec`, with at most `side` pixels on its longer side. */
export async function encodeTexture({ texture, image: bytes, mimeType, hasAlpha }, codec, side, quality) {
  const { width, height } = await open(bytes).metadata();
  const scale = Math.min(1, side / Math.max(width, height));
  const isColor = getTextureColorSpace(texture) === 'srgb';
  let image = open(bytes);
  if (!hasAlpha) image = image.removeAlpha();
  if (codec === 'ktx2') {
    const blocks = (length) => Math.max(KTX2_BLOCK, Math.round((length * scale) / KTX2_BLOCK) * KTX2_BLOCK);
    return encodeKtx2(image.resize(blocks(width), blocks(height), { fit: 'fill' }), listTextureSlots(texture), isColor, quality);
  }
  if (scale < 1) image = image.resize(Math.round(width * scale), Math.round(height * scale), { fit: 'fill', kernel: 'lanczos3' });
  if (codec === 'webp') {
    const webpQuality = isColor ? quality : Math.min(100, quality + DATA_QUALITY_BONUS);
    return image.webp({ quality: webpQuality, effort: 6, smartSubsample: true }).toBuffer();
  }
  if (scale === 1) return bytes;
  const chromaSubsampling = isColor ? '4:2:0' : '4:4:4';
  return (mimeType === 'image/jpeg' ? image.jpeg({ quality: JPEG_QUALITY, chromaSubsampling }) : image.png()).toBuffer();
}

/** Encode colours with ETC1S, normals and ORM with UASTC, because the blocks of ETC1S are visible on them. */
async function encodeKtx2(image, slots, isColor, quality) {
  const { encodeToKTX2 } = await import('ktx2-encoder');
  const { data, info } = await image.ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  return encodeToKTX2(data, {
    isUASTC: !isColor,
    enableRDO: !isColor,
    rdoQualityLevel: 1.5, // not tuned
    needSupercompression: !isColor,
    qualityLevel: Math.round(quality * 2.4), // of ETC1S, at most 255
    generateMipmap: true,
    isNormalMap: slots.includes('normalTexture'),
    isPerceptual: isColor,
    isSetKTX2SRGBTransferFunc: isColor,
    imageDecoder: async () => ({ width: info.width, height: info.height, data }),
  });
}

/** Return whether a material that is not opaque, or an extension, uses the alpha channel of the texture. */
export function usesAlpha(texture) {
  const isBaseColor = (parent) => parent.propertyType === 'Material' && parent.getBaseColorTexture() === texture && parent.getAlphaMode() !== 'OPAQUE';
  return texture.listParents().some(isBaseColor) || listTextureSlots(texture).some((slot) => ALPHA_SLOTS.test(slot));
}

/** Declare the extensions that the formats of the textures require. */
export function declareTextureExtensions(document) {
  const extensions = { 'image/webp': EXTTextureWebP, 'image/ktx2': KHRTextureBasisu };
  for (const [mimeType, extension] of Object.entries(extensions)) {
    if (document.getRoot().listTextures().some((texture) => texture.getMimeType() === mimeType)) document.createExtension(extension).setRequired(true);
  }
}
