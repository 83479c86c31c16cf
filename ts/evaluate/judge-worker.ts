/** judge() in a thread of its own, so that the caller's event loop stays free for the seconds that it takes. */
import { Worker } from 'node:worker_threads'
import type { Evaluation, JudgeInput } from './judge.js'
import { checkItems } from './score.js'

/** @throws DataError as `scoreCaptions` does; the signal's reason when it is aborted */
export async function judgeInWorker(
  input: JudgeInput,
  signal?: AbortSignal | undefined,
): Promise<Evaluation> {
  signal?.throwIfAborted()
  // Here, as an error from another thread would have lost its class.
  checkItems(input.images.map(({ id, captions }) => ({ id, references: captions })))
  const worker = new Worker(new URL('./judge-thread.js', import.meta.url), { workerData: input })
  const aborted = new AbortController()
  try {
    return await new Promise<Evaluation>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      worker.once('exit', (code) => reject(new Error(`the scoring thread ended with code ${code}`)))
      signal?.addEventListener('abort', () => reject(signal.reason), { signal: aborted.signal })
    })
  } finally {
    aborted.abort()
    await worker.terminate()
  }
}
