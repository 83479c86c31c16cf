/** Folders of small pictures, each of another colour. */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import sharp from 'sharp'

/** Writes pictures of noise by these names, in the format that each name says. */
export async function writePictures(folder: string, names: readonly string[]): Promise<void> {
  for (const [i, name] of names.entries()) {
    const path = join(folder, name)
    await mkdir(dirname(path), { recursive: true })
    const data = Uint8Array.from({ length: 24 * 20 * 3 }, (_, at) => (at * (i + 3) * 37) % 256)
    await sharp(data, { raw: { width: 24, height: 20, channels: 3 } }).toFile(path)
  }
}
