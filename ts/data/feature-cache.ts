/**
 * Features of a frozen encoder, computed once and kept on disk as bfloat16; used ones stay in memory while they fit.
 * A cache belongs to one set of weights and images (its key); what was interrupted goes on where it stopped.
 * What computes the features is the caller's.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { writeAtomic } from '../files/atomic.js'
import { fileError } from '../files/system-error.js'
import type { CaptionedImage } from './dataset.js'

/** One picture to compute features of: as it is, or mirrored. */
export interface FeatureItem {
  readonly image: CaptionedImage
  readonly mirrored: boolean
}

export interface FeatureCacheOptions {
  readonly items: readonly FeatureItem[]
  /** Numbers per item: S C. */
  readonly elements: number
  /** From `featureKey`. */
  readonly key: string
  /** Features of some items, [items, elements] bfloat16 bits, and which of them could not be decoded. */
  readonly compute: (items: readonly FeatureItem[]) => Promise<ComputedFeatures>
  /** Items computed together. */
  readonly batchSize: number
  /** Bytes of features that may stay in memory. */
  readonly memoryBytes: number
  /** Told before the work begins, and as it goes on. */
  readonly onProgress?: (progress: FeatureProgress) => void
  readonly signal?: AbortSignal | undefined
}

export interface ComputedFeatures {
  readonly features: Uint16Array
  readonly failed: readonly boolean[]
}

export interface FeatureProgress {
  readonly done: number
  readonly images: number
  /** Size of the whole cache on disk. */
  readonly bytes: number
  readonly path: string
}

export interface FeatureCache {
  readonly path: string
  /** Places, in `items`, of those that could not be decoded. */
  readonly failed: ReadonlySet<number>
  /** [indices, elements] bfloat16 bits. */
  load(indices: readonly number[]): Promise<Uint16Array>
  close(): Promise<void>
}

const metaSchema = z.object({ done: z.int().min(0), failed: z.array(z.int().min(0)) })

/** Where caches lie: $CAPTIONEER_CACHE, else captioneer in $XDG_CACHE_HOME or ~/.cache. */
export function cacheFolder(): string {
  return (
    process.env.CAPTIONEER_CACHE ??
    join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'captioneer')
  )
}

/** Key of weights, settings and image files (path, size, time of change): another key when any of them changes. */
export async function featureKey(
  items: readonly FeatureItem[],
  weights: Iterable<Float32Array>,
  settings: unknown,
): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(settings))
  for (const values of weights)
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  for (const { image, mirrored } of items) {
    const facts = await stat(image.path).catch(() => undefined)
    hash.update(`\n${image.path} ${mirrored} ${facts?.size} ${facts?.mtimeMs}`)
  }
  return hash.digest('hex').slice(0, 32)
}

/** Opens the cache of a key and computes what is missing. @throws CheckpointError when it cannot be written */
export async function openFeatureCache(options: FeatureCacheOptions): Promise<FeatureCache> {
  const folder = join(cacheFolder(), 'features', options.key)
  try {
    await mkdir(folder, { recursive: true })
    const meta = await readMeta(join(folder, 'meta.json'))
    const path = join(folder, 'features.bin')
    const file = await open(path, meta.done === 0 ? 'w+' : 'r+')
    const failed = new Set(meta.failed)
    await fillCache(options, folder, file, meta.done, failed)
    return readable(options, path, file, failed)
  } catch (error) {
    throw fileError(`feature cache ${folder}`, error)
  }
}

async function fillCache(
  { items, elements, compute, batchSize, onProgress, signal }: FeatureCacheOptions,
  folder: string,
  file: FileHandle,
  start: number,
  failed: Set<number>,
): Promise<void> {
  const bytes = items.length * elements * 2
  const report = (done: number) => onProgress?.({ done, images: items.length, bytes, path: folder })
  if (start < items.length) report(start)
  for (let done = start; done < items.length; ) {
    signal?.throwIfAborted()
    const batch = items.slice(done, done + batchSize)
    const computed = await compute(batch)
    await file.write(asBytes(computed.features), 0, undefined, done * elements * 2)
    for (const [i, bad] of computed.failed.entries()) if (bad) failed.add(done + i)
    done += batch.length
    // The count is written only after the features it counts are on the disk.
    await file.datasync()
    const meta = JSON.stringify({ done, failed: [...failed] })
    await writeAtomic(join(folder, 'meta.json'), async (handle) => {
      await handle.writeFile(meta)
    })
    report(done)
  }
}

function readable(
  { elements, memoryBytes }: FeatureCacheOptions,
  path: string,
  file: FileHandle,
  failed: ReadonlySet<number>,
): FeatureCache {
  const kept = new Map<number, Uint16Array>()
  const most = Math.floor(memoryBytes / (elements * 2))
  const one = async (index: number): Promise<Uint16Array> => {
    const known = kept.get(index)
    if (known) return known
    const values = new Uint16Array(elements)
    await file.read(asBytes(values), 0, undefined, index * elements * 2)
    if (kept.size < most) kept.set(index, values)
    return values
  }
  return {
    path,
    failed,
    async load(indices) {
      const values = new Uint16Array(indices.length * elements)
      const parts = await Promise.all(indices.map((index) => one(index)))
      for (const [i, part] of parts.entries()) values.set(part, i * elements)
      return values
    },
    close: () => file.close(),
  }
}

async function readMeta(path: string): Promise<z.output<typeof metaSchema>> {
  const text = await readFile(path, 'utf8').catch(() => '{}')
  const parsed = metaSchema.safeParse(JSON.parse(text))
  return parsed.success ? parsed.data : { done: 0, failed: [] }
}

function asBytes(values: Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
