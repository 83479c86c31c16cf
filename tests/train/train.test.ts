/** train() from end to end on a few generated scenes: result, files, exact resumption, aborts, skipped steps, refusals. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { readJsonLines } from '../../ts/files/json-lines.js'
import { readSafetensors, writeSafetensors } from '../../ts/files/safetensors.js'
import { openDevice, synchronize } from '../../ts/native.js'
import { createRandom } from '../../ts/random.js'
import { memory } from '../../ts/tensor.js'
import type { StepProgress, TrainEvent, ValidationProgress } from '../../ts/train/events.js'
import { train } from '../../ts/train/train.js'
import { smallData, smallRun } from './small-run.js'

const folder = mkdtempSync(join(tmpdir(), 'captioneer-train-'))
let data = ''
test.before(async () => {
  data = await smallData(folder)
})
test.after.always(() => rm(folder, { recursive: true, force: true }))
const whole = join(folder, 'whole')

/** SHA-256 of the newest checkpoint: weights, moments, optimizer state, statistics. */
async function newestTensors(out: string): Promise<string> {
  const names = (await readdir(join(out, 'checkpoints')))
    .filter((n) => n.startsWith('step-'))
    .sort()
  const file = await readSafetensors(join(out, 'checkpoints', names.at(-1) ?? ''))
  const hash = createHash('sha256').update(names.at(-1) ?? '')
  for (const name of [...file.tensors.keys()].sort()) hash.update(file.bytes(name))
  return hash.digest('hex')
}

test.serial(
  'a run gives a model folder, a history and its result, and frees its memory',
  async (t) => {
    const device = openDevice('cpu')
    const before = memory(device)
    const steps: StepProgress[] = []
    const events: TrainEvent[] = []
    const result = await train({
      ...smallRun(data, whole),
      onProgress: (p) => steps.push(p),
      onEvent: (e) => events.push(e),
    })
    t.deepEqual(
      steps.map(({ step }) => step),
      Array.from({ length: 12 }, (_, i) => i + 1),
    )
    t.true((steps[11]?.loss ?? 9) < (steps[0]?.loss ?? 0), 'the loss falls')
    t.is(result.step, 12)
    t.is(result.epoch, 4)
    t.is(result.skipped, 0)
    t.true(result.best.loss > 0 && result.imagesPerSecond > 0 && result.peakBytes > 0)
    const files = await readdir(whole)
    for (const name of [
      'README.md',
      'checkpoints',
      'config.json',
      'config.yaml',
      'generation.json',
      'history.jsonl',
      'model.safetensors',
      'tokenizer.json',
    ])
      t.true(files.includes(name), `${name} is there`)
    const rows = await readJsonLines(join(whole, 'history.jsonl'))
    t.is(rows.filter(({ kind }) => kind === 'step').length, 12)
    t.is(rows.filter(({ kind }) => kind === 'validation').length, 4)
    t.is(events.filter(({ kind }) => kind === 'validation').length, 4)
    t.is((await readdir(join(whole, 'checkpoints'))).length, 2, 'the last two checkpoints')
    await synchronize(device)
    t.is(memory(device).liveTensors, before.liveTensors)
    t.is(memory(device).liveBytes, before.liveBytes)
  },
)

test.serial('the same seed gives the same bits, another seed others', async (t) => {
  const again = join(folder, 'again')
  await train(smallRun(data, again))
  t.is(await newestTensors(again), await newestTensors(whole))
  const other = join(folder, 'other')
  await train({ ...smallRun(data, other), seed: 1 })
  t.not(await newestTensors(other), await newestTensors(whole))
})

test.serial('steps give the same bits when they are captured', async (t) => {
  const out = join(folder, 'eager')
  process.env.CAPTIONEER_CAPTURE = '0'
  try {
    await train(smallRun(data, out))
  } finally {
    delete process.env.CAPTIONEER_CAPTURE
  }
  t.is(await newestTensors(out), await newestTensors(whole))
})

test.serial('an aborted run saves, and resumes to the same bits at any step', async (t) => {
  for (const stopAt of [1, 3, 4, 7]) {
    const out = join(folder, `stop-${stopAt}`)
    const abort = new AbortController()
    const first = await train({
      ...smallRun(data, out),
      signal: abort.signal,
      onProgress: ({ step }) => {
        if (step === stopAt) abort.abort()
      },
    })
    t.true(first.interrupted)
    t.true(first.step < 12)
    const second = await train({ ...smallRun(data, out), resume: true })
    t.is(second.step, 12)
    t.is(await newestTensors(out), await newestTensors(whole), `stopped at ${stopAt}`)
    const rows = await readJsonLines(join(out, 'history.jsonl'))
    t.deepEqual(
      rows.filter(({ kind }) => kind === 'step').map(({ step }) => step),
      Array.from({ length: 12 }, (_, i) => i + 1),
    )
  }
})

test.serial('kill -9 at random moments: every resumption ends with the same bits', async (t) => {
  const script = fileURLToPath(new URL('./train-small.js', import.meta.url))
  const random = createRandom(5)
  const out = join(folder, 'killed')
  let kills = 0
  let how = 'fresh'
  for (let round = 0; round < 8; round++) {
    const child = spawn(process.execPath, [script, data, out, how], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const killAfter = 1 + Math.floor(random() * 4)
    let seen = 0
    let errors = ''
    child.stderr.on('data', (text: Buffer) => {
      errors += text.toString()
    })
    child.stdout.on('data', (text: Buffer) => {
      seen += text.toString().split('\n').length - 1
      // A random delay after a random step hits loading, computing, validating and saving alike.
      if (seen >= killAfter) setTimeout(() => child.kill('SIGKILL'), random() * 60)
    })
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    if (signal !== 'SIGKILL') {
      t.is(code, 0, errors)
      break
    }
    kills++
    const saved = await readdir(join(out, 'checkpoints')).catch(() => [])
    how = saved.some((name) => name.startsWith('step-')) ? 'resume' : 'fresh'
  }
  t.true(kills >= 2, `killed ${kills} times`)
  await train({ ...smallRun(data, out), resume: true })
  t.is(await newestTensors(out), await newestTensors(whole))
})

test.serial(
  'self-critical training with a moving average and AdaBelief goes on exactly where it was',
  async (t) => {
    const settings = {
      ...smallRun(data, ''),
      report: false,
      init: whole,
      selfCritical: { samples: 3, weight: 0.5 },
      ema: 0.9,
      optimizer: { name: 'adabeliefw', rectify: true },
      maxSteps: 6,
    }
    const at = (name: string) => join(folder, `critical-${name}`)
    const rewards: number[] = []
    await train({
      ...settings,
      out: at('whole'),
      onProgress: ({ reward = Number.NaN }) => rewards.push(reward),
    })
    t.true(rewards.length === 6 && rewards.every((reward) => reward >= 0 && reward <= 10))
    const controller = new AbortController()
    await train({
      ...settings,
      out: at('parts'),
      signal: controller.signal,
      onProgress: ({ step }) => step === 2 && controller.abort(),
    })
    await train({ ...settings, out: at('parts'), resume: true })
    t.is(await newestTensors(at('parts')), await newestTensors(at('whole')))
    const names = (await readdir(join(at('whole'), 'checkpoints'))).filter((n) => /^step/.test(n))
    const checkpoint = await readSafetensors(join(at('whole'), 'checkpoints', names[0] ?? ''))
    t.true(['weight', 'm', 'v', 'average'].every((name) => checkpoint.tensors.has(name)))
    t.notDeepEqual(checkpoint.float32('average'), checkpoint.float32('weight'))
  },
)

test.serial(
  'SGD keeps one moment; the best by CIDEr-D stays; samples say where pictures are',
  async (t) => {
    const out = join(folder, 'sgd')
    const validations: ValidationProgress[] = []
    const result = await train({
      ...smallRun(data, out),
      optimizer: { name: 'sgdm', learningRate: 0.05, clipNorm: 0, clipValue: 0.1 },
      'validation.metric': 'cider',
      onEvent: (event) => event.kind === 'validation' && validations.push(event),
    })
    const ciders = validations.map(({ cider }) => cider)
    t.is(result.best.cider, Math.max(...ciders))
    t.deepEqual(
      validations.map(({ best }) => best),
      ciders.map((value, i) => i === 0 || value > Math.max(...ciders.slice(0, i))),
    )
    const sample = validations[0]?.samples[0]
    t.true(existsSync(sample?.path ?? ''))
    const names = (await readdir(join(out, 'checkpoints'))).filter((n) => n.startsWith('step-'))
    const checkpoint = await readSafetensors(join(out, 'checkpoints', names.at(-1) ?? ''))
    t.false(checkpoint.tensors.has('v'))
  },
)

test.serial('the model that is saved holds the moving average', async (t) => {
  const out = join(folder, 'average')
  await train({
    ...smallRun(data, out),
    report: false,
    ema: 0.5,
    checkpoint: { every: 12, keep: 1 },
    'validation.every': 12,
  })
  const names = (await readdir(join(out, 'checkpoints'))).filter((n) => n.startsWith('step-'))
  const checkpoint = await readSafetensors(join(out, 'checkpoints', names[0] ?? ''))
  const saved = await readSafetensors(join(out, 'model.safetensors'))
  const bias = saved.float32('decoder.output.bias')
  const holds = (flat: Float32Array) =>
    flat.some((_, at) => bias.every((value, i) => value === flat[at + i]))
  t.true(holds(checkpoint.float32('average')))
  t.false(holds(checkpoint.float32('weight')))
})

test.serial('ten steps in a row whose gradients are not finite stop the run', async (t) => {
  const file = await readSafetensors(join(whole, 'model.safetensors'))
  const entries = [...file.tensors].flatMap(([name, { shape }]) => {
    if (!name.startsWith('encoder.')) return []
    const values = file.float32(name).slice()
    if (name === 'encoder.layers.0.conv.weight') values[0] = Number.NaN
    const data = new Uint8Array(values.buffer)
    return [{ name: name.slice('encoder.'.length), dtype: 'F32' as const, shape, data }]
  })
  const broken = join(folder, 'broken.safetensors')
  await writeSafetensors(broken, entries)
  const losses: number[] = []
  const out = join(folder, 'not-finite')
  await t.throwsAsync(
    train({
      ...smallRun(data, out),
      encoderWeights: broken,
      validation: { every: 100 },
      report: true,
      onProgress: ({ loss }) => losses.push(loss),
    }),
    { code: 'ERR_NOT_FINITE', message: /not finite in 10 steps in a row \(step 10\)/ },
  )
  t.is(losses.length, 9)
  t.true(losses.every(Number.isNaN))
  const rows = await readJsonLines(join(out, 'history.jsonl'))
  t.is(rows[0]?.loss, null, 'NaN is null in the history')
  const page = await readFile(join(out, 'report.html'), 'utf8')
  t.regex(page, /A run that an error ended \(train: the loss or its gradients were not finite/)
})

test.serial(
  'refusals: a used run folder, other settings on resume, a frozen encoder without weights, a prefix of unknown words',
  async (t) => {
    const used = await t.throwsAsync(train(smallRun(data, whole)))
    t.regex(used?.message ?? '', /already holds a run\. Go on with --resume/)
    const other = await t.throwsAsync(
      train({ ...smallRun(data, whole), resume: true, batchSize: 4, maxSteps: 20 }),
    )
    t.regex(other?.message ?? '', /settings differ from the run that saved it/)
    const frozen = await t.throwsAsync(
      train({ ...smallRun(data, join(folder, 'frozen')), freezeEncoder: true }),
    )
    t.regex(
      frozen?.message ?? '',
      /freezeEncoder keeps the encoder as it is, but neither encoderWeights nor init/,
    )
    const empty = join(folder, 'empty')
    await writeFile(empty, '')
    await t.throwsAsync(train(smallRun(empty, join(folder, 'none'))), { code: 'ERR_DATA' })
    let steps = 0
    const unknown = train({
      ...smallRun(data, join(folder, 'prefix')),
      generation: { prefix: 'zyzzyva' },
      onProgress: () => steps++,
    })
    await t.throwsAsync(unknown, { code: 'ERR_ARGUMENT', message: /"zyzzyva" is not in its/ })
    t.is(steps, 0, 'said before the first step, not at the first validation')
  },
)

test.serial("PyTorch's weights beside TensorFlow's padding: a warning", async (t) => {
  const told: string[] = []
  const options = { ...smallRun(data, join(folder, 'padding')), encoderWeights: 'nowhere.pth' }
  const onEvent = (event: TrainEvent) => {
    if (event.kind === 'warning') told.push(event.text)
  }
  const flags = { 'model.encoder.padding': 'same' }
  await t.throwsAsync(train({ ...options, flags, onEvent }), { message: /nowhere\.pth/ })
  t.true(
    told.some((text) => text.includes('--model.encoder.padding symmetric')),
    `${told}`,
  )
  told.length = 0
  await t.throwsAsync(train({ ...options, onEvent }), { message: /nowhere\.pth/ })
  t.false(
    told.some((text) => text.includes('padding')),
    `${told}`,
  )
})

test.serial('the event loop stays free while training', async (t) => {
  let ticks = 0
  const timer = setInterval(() => ticks++, 5)
  const started = performance.now()
  await train({ ...smallRun(data, join(folder, 'timer')), maxSteps: 9 })
  clearInterval(timer)
  const expected = (performance.now() - started) / 5
  t.true(ticks > expected / 4, `${ticks} of ${Math.round(expected)} ticks`)
})

test.serial('the text-only baseline trains without an encoder', async (t) => {
  const out = join(folder, 'text')
  const result = await train({ ...smallRun(data, out), image: false })
  t.is(result.step, 12)
  const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))
  t.is(config.image, false)
})
