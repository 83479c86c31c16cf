/**
 * Which work is worth recording: a key's first runs eagerly, its second is recorded, and only the graphs used last are
 * kept. What a graph is, is the caller's (step-cache.ts, models/caption-loop.ts).
 */

export interface GraphCache<G> {
  /** The graph of `key`; undefined when the work is to run eagerly. */
  get(key: string, make: () => G): G | undefined
  values(): IterableIterator<G>
  /** Frees every graph. */
  clear(): void
}

/** Keys remembered that came once. */
const mostKeys = 256

/** Whether work is captured at all: unless CAPTIONEER_CAPTURE=0 says no. */
export function captureWanted(): boolean {
  return process.env.CAPTIONEER_CAPTURE !== '0'
}

export interface GraphCacheOptions<G> {
  /** Graphs that are kept. */
  readonly most: number
  readonly free: (graph: G) => void
  /** False: everything runs eagerly. */
  readonly captures: boolean
  /**
   * The graphs share their memory. Once there is one, a new key is recorded at once: run eagerly it would need as much
   * memory again.
   */
  readonly shared: boolean
}

export function createGraphCache<G>({
  most,
  free,
  captures,
  shared,
}: GraphCacheOptions<G>): GraphCache<G> {
  const seen = new Set<string>()
  const graphs = new Map<string, G>()

  const get = (key: string, make: () => G): G | undefined => {
    if (!captures) return undefined
    const known = graphs.get(key)
    if (!known && !seen.has(key) && !(shared && graphs.size > 0)) {
      seen.add(key)
      if (seen.size > mostKeys) seen.delete(seen.values().next().value ?? '')
      return undefined
    }
    const graph = known ?? make()
    graphs.delete(key)
    graphs.set(key, graph)
    const [oldest] = graphs
    if (oldest && graphs.size > most) {
      graphs.delete(oldest[0])
      free(oldest[1])
    }
    return graph
  }

  return {
    get,
    values: () => graphs.values(),
    clear: () => {
      for (const graph of graphs.values()) free(graph)
      graphs.clear()
    },
  }
}
