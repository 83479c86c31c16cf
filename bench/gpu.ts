/** What a GPU can do at most, and how fast it runs at the moment. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Device } from '../ts/native.js'

/**
 * bfloat16 operations per second at most: what cuBLAS reached on such cards in a product of two random 8192 x 8192 matrices
 * (788 to 798 TFLOP/s on H100 and H200; the data sheet's 989 assume clocks that the power limit does not allow).
 */
const productCeilings: readonly (readonly [cards: RegExp, flops: number])[] = [
  [/H100|H200/, 790e12],
]

/** Operations per second that no product exceeds on this device; undefined where nobody has measured it. */
export function productCeiling({ name, description }: Device): number | undefined {
  return name === 'cuda'
    ? productCeilings.find(([cards]) => cards.test(description))?.[1]
    : undefined
}

const queries = {
  smMHz: 'clocks.sm',
  memoryMHz: 'clocks.mem',
  watts: 'power.draw',
  celsius: 'temperature.gpu',
} as const

/** Clocks of the first GPU while `work` runs; undefined without nvidia-smi. */
export async function clocksDuring(
  work: () => Promise<unknown>,
): Promise<Readonly<Record<string, number>> | undefined> {
  const asked = promisify(execFile)('nvidia-smi', [
    `--query-gpu=${Object.values(queries).join(',')}`,
    '--format=csv,noheader,nounits',
  ]).catch(() => undefined)
  const [answer] = await Promise.all([asked, work()])
  return answer && clocksOf(answer.stdout)
}

/** Reads the first line of what nvidia-smi prints. */
export function clocksOf(csv: string): Readonly<Record<string, number>> {
  const values = (csv.split('\n')[0] ?? '').split(',').map(Number)
  return Object.fromEntries(Object.keys(queries).map((name, i) => [name, values[i] ?? Number.NaN]))
}
