/** Names as people order them: `photo 2` before `photo 10`, and the same on every machine. */

/** Compares two paths part by part; numbers in them by value, letters without regard to case. */
export function naturalOrder(a: string, b: string): number {
  const [left, right] = [a, b].map((path) => path.split(/[/\\]/))
  for (let i = 0; i < Math.min(left?.length ?? 0, right?.length ?? 0); i++) {
    const order = compareNames(left?.[i] ?? '', right?.[i] ?? '')
    if (order !== 0) return order
  }
  return (left?.length ?? 0) - (right?.length ?? 0)
}

function compareNames(a: string, b: string): number {
  const [left, right] = [piecesOf(a), piecesOf(b)]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = comparePieces(left[i] ?? '', right[i] ?? '')
    if (order !== 0) return order
  }
  // "01" and "1", "A" and "a" are alike so far, but two names never are.
  return left.length - right.length || byCodeUnit(a, b)
}

function piecesOf(name: string): string[] {
  return name.toLowerCase().match(/\d+|\D+/g) ?? []
}

function comparePieces(a: string, b: string): number {
  if (!/^\d/.test(a) || !/^\d/.test(b)) return byCodeUnit(a, b)
  // As text, because a number in a name may have more digits than a double holds.
  const [left, right] = [a, b].map((digits) => digits.replace(/^0+/, ''))
  return (left?.length ?? 0) - (right?.length ?? 0) || byCodeUnit(left ?? '', right ?? '')
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
