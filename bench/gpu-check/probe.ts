/** The layout probe: facts of TMA, wgmma, mma and ldmatrix as the card shows them, against the emulator's. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../ts/native.js'
import type { Outcome, Piece } from './results.js'

/** The program in the build of a variant. */
export function probeProgram(variant: string): string {
  return join(packageRoot, 'build', variant, 'build', 'probe')
}

/** What the emulator printed. */
export const expectedFile = join(packageRoot, 'build', 'cuda', 'build', 'probe-expected.jsonl')

export const probe: Piece = async (run) => {
  const program = probeProgram(process.env.CAPTIONEER_VARIANT ?? 'cuda')
  if (!existsSync(program) || !existsSync(expectedFile))
    return {
      passed: false,
      summary: 'the probe is not built; run: npm run gpu:check -- prepare (where nvcc is)',
    }
  const { status, output } = await run(program, [])
  const compared = compareProbes(readFileSync(expectedFile, 'utf8'), output)
  if (status === 0) return compared
  return { ...compared, passed: false, details: { status, output: output.slice(-2000) } }
}

/** One line of a probe. */
interface Fact {
  readonly name: string
  readonly hash: string
}

/** Compares what two probes printed, one JSON object a line; a card without wgmma and TMA prints fewer. */
export function compareProbes(expected: string, found: string): Outcome {
  const [emulator, card] = [byName(expected), byName(found)]
  const both = [...emulator.keys()].filter((name) => card.has(name))
  const different = both.filter((name) => card.get(name)?.hash !== emulator.get(name)?.hash)
  const missing = [...emulator.keys()].filter((name) => !card.has(name))
  return {
    passed: both.length > 0 && different.length === 0,
    summary:
      `${both.length} facts compared, ${different.length} differ from the emulator, ` +
      `${missing.length} not on this card`,
    details: {
      missing,
      different: different.map((name) => ({
        name,
        emulator: emulator.get(name),
        card: card.get(name),
      })),
    },
  }
}

function byName(output: string): Map<string, Fact> {
  const lines = output.split('\n').filter((line) => line.startsWith('{'))
  return new Map(lines.map((line) => JSON.parse(line) as Fact).map((fact) => [fact.name, fact]))
}
