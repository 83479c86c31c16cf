/** Model folders that are loaded again when they change: `serve --watch`. By looking, which works on network disks too. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Between two looks, ms. A folder counts as changed once it is the same twice in a row: its files come one by one. */
const EVERY = 1000
const FILES = ['config.json', 'generation.json', 'model.safetensors', 'tokenizer.json']

/**
 * @param changed called with a model's id
 * @returns what ends it
 */
export function watchModels(
  models: readonly { readonly id: string; readonly folder: string }[],
  changed: (id: string) => Promise<void>,
): () => void {
  const known = new Map<string, string>()
  const seen = new Map<string, string>()
  const look = async () => {
    for (const { id, folder } of models) {
      const now = await looksOf(folder)
      if (!known.has(id)) known.set(id, now)
      const isSettled = seen.get(id) === now
      seen.set(id, now)
      if (!isSettled || known.get(id) === now || now === '') continue
      known.set(id, now)
      await changed(id)
    }
  }
  let isOver = false
  let timer: NodeJS.Timeout
  const again = () => {
    if (!isOver) timer = setTimeout(() => void look().then(again), EVERY)
  }
  void look().then(again)
  return () => {
    isOver = true
    clearTimeout(timer)
  }
}

/** Sizes and times of its files; nothing while one is missing. */
async function looksOf(folder: string): Promise<string> {
  const facts = await Promise.all(
    FILES.map((file) =>
      stat(join(folder, file)).then(
        ({ size, mtimeMs, ino }) => `${size} ${mtimeMs} ${ino}`,
        () => '',
      ),
    ),
  )
  return facts.includes('') ? '' : facts.join()
}
