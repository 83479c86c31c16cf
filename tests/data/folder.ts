/** Data sets in temporary folders: tiny pictures of one colour, and the text files beside them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { ExecutionContext } from 'ava'
import sharp, { type Sharp } from 'sharp'

export type Colour = { readonly r: number; readonly g: number; readonly b: number }

/** A picture of one colour, not yet encoded. */
export function plain(colour: Colour, width = 8, height = 6): Sharp {
  return sharp({ create: { width, height, channels: 3, background: colour } })
}

export const grey: Colour = { r: 128, g: 128, b: 128 }

/** A new folder, removed after the test, with text or bytes by path; `'jpeg'` stands for a picture. */
export async function folderOf(
  t: ExecutionContext,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'captioneer-data-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const picture = await plain(grey).jpeg().toBuffer()
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content === 'jpeg' ? picture : content)
  }
  return folder
}

/** `{ 'a.jpg': 'jpeg', ... }` below a folder. */
export function pictures(names: readonly string[], folder = ''): Record<string, string> {
  return Object.fromEntries(names.map((name) => [folder + name, 'jpeg']))
}
