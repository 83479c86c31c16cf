/** Which tests reach each kernel file, and how they run with a mutant. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot } from '../../ts/native.js'

/** Tests of one file of dist/tests. */
export interface Tests {
  readonly script: string
  /** Titles; all when empty. */
  readonly match: readonly string[]
  /** What the card claims: 8.0 takes the mma.sync pipelines, 9.0 those of wgmma and TMA. */
  readonly capability: '8.0' | '9.0'
}

/** Settings of the emulator. */
interface Configuration {
  readonly schedule: string
  readonly async: string
  readonly processors: number
}

/**
 * Under these in turn each mutant runs until one notices it. Lazy copies show missing waits, eager ones refills that
 * come too soon; with one multiprocessor a persistent kernel's block makes all tiles.
 */
export const configurations: readonly Configuration[] = [
  { schedule: 'fifo', async: 'lazy', processors: 8 },
  { schedule: 'reverse', async: 'eager', processors: 8 },
  { schedule: 'fifo', async: 'lazy', processors: 1 },
  { schedule: 'random', async: 'random', processors: 1 },
]

const limit = 10 * 60 * 1000

export const opTests = (...match: string[]): Tests => ({
  script: 'ops/ops.test.js',
  match,
  capability: '9.0',
})
const script = (name: string): Tests => ({ script: name, match: [], capability: '9.0' })
const on80 = (tests: Tests): Tests => ({ ...tests, capability: '8.0' })

const attention = [script('ops/attention-kernel.test.js'), opTests('*Attention*')]
const loss = opTests('linearCrossEntropy*', 'tokenLoss*')
const products = [
  opTests('linear #*bfloat16*'),
  opTests('convolution #*bfloat16*', 'convolutionBatchNorm #*bfloat16*'),
]
const forwardProducts = [
  opTests('linear #*bfloat16: forward'),
  opTests('convolutionBatchNorm #*bfloat16: forward'),
]
const floatProducts = opTests('linear #*', 'convolution #*', '!*bfloat16*')

/** The tests that reach a file, and which of the objects that include it they run; all when not given. */
export interface Reach {
  readonly tests: readonly Tests[]
  readonly objects?: RegExp
}

/** The first entry that names a file counts; files that none names are reached by all op tests. */
const testsOf: readonly (readonly [RegExp, readonly Tests[]])[] = [
  [/cuda\/attention_cache/, [script('decoding/attend-cache.test.js')]],
  [/cuda\/search/, [script('decoding/search.test.js')]],
  [/cuda\/sample/, [script('decoding/sample.test.js')]],
  [/cuda\/device\/logits/, [script('decoding/search.test.js'), script('decoding/sample.test.js')]],
  [/cuda\/optimizer/, [script('train/optimizer.test.js')]],
  [
    /cuda\/attention\/(forward|backward)/,
    [script('ops/attention-kernel.test.js'), opTests('*Attention*bfloat16*')],
  ],
  [/cuda\/attention/, attention],
  [/cuda\/device\/reduce/, [loss, script('train/optimizer.test.js')]],
  [/cuda\/device\/channel_rows/, [opTests('linear #*', 'convolutionBatchNorm #*')]],
  [/cuda\/fold_batch_norm/, [opTests('foldBatchNorm*')]],
  [/cuda\/convolution_batch_norm/, [opTests('convolutionBatchNorm*')]],
  [/cuda\/(depthwise|convolution)/, [opTests('convolution*')]],
  [/cuda\/dropout/, [opTests('dropout*')]],
  [/cuda\/embedding/, [opTests('embedding*')]],
  [/cuda\/image/, [opTests('normalizeImage*')]],
  [/cuda\/linear_cross_entropy/, [loss]],
  [/cuda\/linear/, [opTests('linear #*')]],
  [/cuda\/norm/, [opTests('layerNorm*', 'rmsNorm*')]],
  [/cuda\/pooling/, [opTests('*Pool*')]],
  [/cuda\/gemm\/float32/, [floatProducts]],
  [/cuda\/gemm\/(sm80|epilogue)/, forwardProducts.map(on80)],
  [/cuda\/gemm/, products],
]

/** Headers of many objects: those that forwardProducts run. */
const objectsOf: readonly (readonly [RegExp, RegExp])[] = [
  [/cuda\/gemm\/(sm80|epilogue)/, /bf16_k_k|convolution_product_bf16_forward/],
]

export function reachOf(file: string): Reach {
  const tests = testsOf.find(([pattern]) => pattern.test(file))?.[1] ?? [opTests()]
  const objects = objectsOf.find(([pattern]) => pattern.test(file))?.[1]
  return { tests, ...(objects && { objects }) }
}

/** What the first failing test says, or nothing when all pass. */
export function runTests(
  variant: string,
  tests: Tests,
  { schedule, async, processors }: Configuration,
): string | undefined {
  const { status, stdout } = spawnSync(
    process.execPath,
    [
      join(packageRoot, 'node_modules/ava/entrypoints/cli.mjs'),
      `dist/tests/${tests.script}`,
      '--fail-fast',
      '--timeout=10m',
      ...tests.match.map((pattern) => `--match=${pattern}`),
    ],
    {
      cwd: packageRoot,
      encoding: 'utf8',
      timeout: limit,
      maxBuffer: 1 << 28,
      env: {
        ...process.env,
        CAPTIONEER_VARIANT: variant,
        CAPTIONEER_TEST_DEVICE: 'cuda',
        CAPTIONEER_EMULATOR_CAPABILITY: tests.capability,
        CAPTIONEER_EMULATOR_CHECK: '1',
        CAPTIONEER_EMULATOR_SCHEDULE: schedule,
        CAPTIONEER_EMULATOR_ASYNC: async,
        CAPTIONEER_EMULATOR_PROCESSORS: `${processors}`,
      },
    },
  )
  if (status === 0) return undefined
  return `${tests.capability}, ${processors} SM, ${schedule}, ${async}: ${firstReport(stdout)}`
}

/** From what ava prints: the emulator's report where there is one, else why the first test failed. */
function firstReport(output: string): string {
  const fromEmulator = /CUDA error \d+ \(([^\n]*)\) in \w+\. It may/.exec(output)?.[1]
  const line = output
    .split('\n')
    .find((text) => /off by|is off the CPU's|message:|Timed out|exited|block \(|differ/.test(text))
  return (fromEmulator ?? line?.trim() ?? 'the tests stopped').slice(0, 300)
}
