/** A binary heap: the priority queue of the byte-pair trainer and encoder. */

export interface Heap<T> {
  push(item: T): void
  /** Takes out the first item by the heap's order; undefined when it is empty. */
  pop(): T | undefined
}

/** An empty heap; `before(a, b)` says whether `a` is taken out before `b`. Both operations are O(log n). */
export function createHeap<T>(before: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = []
  return {
    push(item) {
      let hole = items.push(item) - 1
      while (hole > 0) {
        const parent = (hole - 1) >> 1
        if (!before(item, items[parent] as T)) break
        items[hole] = items[parent] as T
        hole = parent
      }
      items[hole] = item
    },
    pop() {
      const first = items[0]
      const last = items.pop()
      if (first === undefined || last === undefined || items.length === 0) return first
      let hole = 0
      for (let child = 1; child < items.length; child = 2 * hole + 1) {
        if (child + 1 < items.length && before(items[child + 1] as T, items[child] as T)) child++
        if (!before(items[child] as T, last)) break
        items[hole] = items[child] as T
        hole = child
      }
      items[hole] = last
      return first
    },
  }
}
