/** Says on stderr why work runs on the CPU, where a GPU could have been expected. */
import type { DeviceName } from '../native.js'
import { note } from './terminal.js'

/** @param work what is about to happen: 'captioning' */
export async function noteFallback(work: string, asked: DeviceName): Promise<void> {
  const { fallbackReason, openDevice } = await import('../native.js')
  const reason = fallbackReason(asked, openDevice(asked))
  if (reason !== undefined) note(`${work} on the CPU: ${reason}`)
}
