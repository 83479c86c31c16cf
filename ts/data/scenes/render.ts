/**
 * Pictures of scenes: an SVG with gradients and layered shadows (no filters, which cost milliseconds), drawn by sharp.
 * The grounds are in backdrops.ts, the outlines in shapes.ts.
 */
import sharp, { type Sharp } from 'sharp'
import { argumentError } from '../../errors.js'
import { backdropSvg } from './backdrops.js'
import { RADIUS } from './layout.js'
import type { Colour, Group, Item, Scene } from './scene.js'
import { SHAPE_PATHS } from './shapes.js'

/** Lit side, body and shaded side of each colour; the last also draws the outline. */
const PALETTE: Readonly<Record<Colour, readonly [string, string, string]>> = {
  red: ['#ff5a55', '#e3212b', '#a80f1c'],
  yellow: ['#fff07a', '#ffd61f', '#d69a00'],
  green: ['#2fae55', '#0f8236', '#065022'],
  blue: ['#4f78ff', '#1f45dc', '#12258c'],
  pink: ['#ff9dd2', '#ff5cb3', '#c9297f'],
  white: ['#ffffff', '#fbfcff', '#a9b4c8'],
}

/** The scene as an SVG document, `size` pixels wide and high. */
export function sceneToSvg(scene: Scene, size: number): string {
  checkPictureSize('sceneToSvg', size)
  const colours = [...new Set(scene.groups.map((group) => group.colour))]
  // The soft edge of a shadow is made of copies of the outline; small pictures need few.
  const layers = size < 128 ? 3 : 9
  const objects = scene.groups.flatMap((group) =>
    group.items.map((item) => itemSvg(group, item, layers)),
  )
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 64 64">` +
    `${backdropSvg(scene.background, scene.detail)}${colours.map(gradientSvg).join('')}` +
    `${objects.join('')}</svg>`
  )
}

/** Throws ArgumentError unless `size` is a side in pixels that pictures can have. */
export function checkPictureSize(where: string, size: number): void {
  if (Number.isInteger(size) && size >= 16 && size <= 4096) return
  throw argumentError(where, 'size', 'an integer from 16 to 4096', size)
}

/** The picture as bytes [size, size, 3], RGB, 0-255. */
export async function renderScene(scene: Scene, size: number): Promise<Uint8Array> {
  const { data } = await drawing(scene, size).raw().toBuffer({ resolveWithObject: true })
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** The picture as a PNG file, `size` pixels wide and high. */
export async function renderScenePng(scene: Scene, size: number): Promise<Buffer> {
  return await drawing(scene, size).png().toBuffer()
}

function drawing(scene: Scene, size: number): Sharp {
  return sharp(Buffer.from(sceneToSvg(scene, size))).removeAlpha()
}

function gradientSvg(colour: Colour): string {
  const [lit, body, shade] = PALETTE[colour]
  return (
    `<radialGradient id="${colour}" cx=".36" cy=".3" r=".8"><stop offset="0" stop-color="${lit}"/>` +
    `<stop offset=".45" stop-color="${body}"/><stop offset="1" stop-color="${shade}"/>` +
    `</radialGradient>`
  )
}

function itemSvg(group: Group, item: Item, layers: number): string {
  const path = SHAPE_PATHS[group.shape]
  const shade = PALETTE[group.colour][2]
  const at = (dx: number, dy: number, scale: number) => {
    const radius = RADIUS[group.size]
    const [x, y] = [64 * (item.x + dx * radius), 64 * (item.y + dy * radius)]
    const factor = (64 * radius * scale).toFixed(3)
    return `transform="translate(${x.toFixed(2)} ${y.toFixed(2)}) rotate(${item.turn}) scale(${factor})"`
  }
  const opacity = (1 - 0.66 ** (1 / layers)).toFixed(3)
  const shadows = Array.from({ length: layers }, (_, i) => {
    const outward = (i + 0.5) / layers
    const place = at(0.06 + 0.05 * outward, 0.12 + 0.09 * outward, 0.96 + 0.2 * outward)
    return `<path d="${path}" fill="#0a1428" fill-opacity="${opacity}" ${place}/>`
  })
  return (
    `${shadows.join('')}<path d="${path}" fill="url(#${group.colour})" stroke="${shade}" ` +
    `stroke-width=".07" stroke-linejoin="round" ${at(0, 0, 0.95)}/>`
  )
}
