/** Our workload beside each variant of PyTorch: the same weights and data on both sides, one process a variant. */
import { type Peer, PeerError } from './peer.js'
import { writePeerInputs } from './peer-inputs.js'
import type { Variant } from './variants.js'
import type { Workload } from './workload.js'

/** PyTorch with the workload's model and data. */
export interface OpenedPeer {
  readonly variant: Variant
  /** Of the first batch, before training, without dropout. */
  readonly loss: number
  readonly ask: Peer['ask']
  /** Seconds of compiling, tuning and capturing; bytes at most since it was opened, on a GPU. */
  facts(): Promise<{
    readonly prepareSeconds: number
    readonly peakBytes: number | null
    readonly reservedBytes: number | null
  }>
}

export interface PeerChoice {
  readonly start: () => Promise<Peer>
  readonly variants: readonly Variant[]
}

/**
 * Calls `measure` with each variant in turn, or once with nothing to compare with. A variant that fails is told to
 * `failed`, and the others go on; what fails on our side is thrown.
 */
export async function besideEach(
  work: Workload,
  peers: PeerChoice | undefined,
  measure: (peer: OpenedPeer | undefined) => Promise<void>,
  failed: (variant: Variant, error: string) => Promise<void>,
): Promise<void> {
  if (!peers) return measure(undefined)
  const inputs = await writePeerInputs(work)
  try {
    for (const variant of peers.variants)
      try {
        await withPeer(await peers.start(), async (peer) => {
          const { loss } = await peer.ask<{ loss: number }>('open', { ...inputs.message, variant })
          await measure({ variant, loss, ask: peer.ask, facts: () => peer.ask('facts') })
        })
      } catch (error) {
        if (!(error instanceof PeerError)) throw error
        await failed(variant, error.message)
      }
  } finally {
    await inputs.remove()
  }
}

async function withPeer(peer: Peer, body: (peer: Peer) => Promise<void>): Promise<void> {
  try {
    await body(peer)
  } finally {
    peer.close()
  }
}
