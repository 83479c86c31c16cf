/** `captioneer bench`: how fast training, captioning and single ops are on a device, beside PyTorch where it is there. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { reportFailure } from '../ts/cli/failure.js'
import { table } from '../ts/cli/format.js'
import { oneOf, wholeNumber } from '../ts/cli/options.js'
import { endQuietlyWithoutReader, note, print } from '../ts/cli/terminal.js'
import { ArgumentError } from '../ts/errors.js'
import { type PresetName, presetNames } from '../ts/models/presets.js'
import { type Device, type DeviceName, openDevice, packageRoot } from '../ts/native.js'
import type { PeerChoice } from './beside.js'
import { type BenchCase, caseName, cases } from './cases.js'
import { machineFacts, threads } from './machine.js'
import { benchCaptioning, benchTraining, cellsOf, heading, type Row, recordOf } from './models.js'
import { type Peer, PeerError, startPeer } from './peer.js'
import { profileTraining } from './profile.js'
import { keep, show } from './report.js'
import { variantHelp, variantsFor } from './variants.js'

interface Flags {
  readonly device: DeviceName
  readonly preset?: PresetName
  readonly variants?: string
  readonly batch?: number
  readonly quick?: boolean
  readonly spin?: number
  readonly out?: string
  readonly json?: boolean
}

const modes = ['models', 'train', 'caption', 'kernels', 'ops', 'profile'] as const
type Mode = (typeof modes)[number]

const program = new Command('captioneer bench')
  .description(
    'Measures training and captioning, beside PyTorch where there is one; single kernels and ops; a training step.',
  )
  .argument('[what]', `${modes.join(', ')}; models is train and caption`, oneOf(modes), 'models')
  .addOption(
    // Not auto: the same command means the same wherever it is run.
    new Option('--device <name>', 'cpu, cuda or auto, for both sides')
      .default('cpu')
      .argParser(oneOf(['auto', 'cpu', 'cuda'] satisfies DeviceName[])),
  )
  .option('--preset <name>', `only this preset: ${presetNames.join(', ')}`, oneOf(presetNames))
  .option('--variants <list>', variantHelp)
  .option(
    '--batch <n>',
    'images in a step or call; for kernels 64 unless given',
    wholeNumber(1, 4096),
  )
  .option('--quick', 'short turns, and on the CPU batches of 8')
  .option('--spin <n>', 'GOMP_SPINCOUNT: how long waiting threads spin', wholeNumber(0, 1e9))
  .option('--out <file>', 'append the JSON lines to this file instead of printing them')
  .option('--json', 'print the JSON lines without the table')
  .addHelpText(
    'after',
    `
Examples:
  captioneer bench
  captioneer bench train --preset tiny --quick
  captioneer bench profile --preset mobilenetv2-transformer
  captioneer bench train --device cuda --preset resnet18-transformer --variants eager,compile
  CAPTIONEER_PYTHON=./venv/bin/python captioneer bench --out results.jsonl

In a clone, "npm run bench --" is the same.`,
  )
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .action(bench)

async function bench(mode: Mode, flags: Flags): Promise<void> {
  // Read once, when the kernels' thread library is loaded; PyTorch's process inherits what ours has.
  if (flags.spin !== undefined) process.env.GOMP_SPINCOUNT = String(flags.spin)
  const device = openDevice(flags.device)
  const facts = { ...machineFacts(), gpu: device.name === 'cuda' ? device.description : undefined }
  const selected = cases.filter(({ preset }) => !flags.preset || preset === flags.preset)
  if (mode === 'ops') {
    requireClone()
    const { benchOps } = await import('./ops.js')
    await show(await benchOps(device, flags.quick ?? false), facts, flags)
  } else if (mode === 'profile')
    for (const one of selected)
      await show(await profileTraining(one, device, flags.batch), facts, flags)
  else if (mode === 'kernels') await benchSingleKernels(device, facts, flags)
  else await benchModels(mode, selected, device, facts, flags)
}

type Facts = ReturnType<typeof machineFacts>

async function benchModels(
  mode: Mode,
  selected: readonly BenchCase[],
  device: Device,
  facts: Facts,
  flags: Flags,
): Promise<void> {
  const variants = variantsFor(device.name, flags.variants)
  const { first, start } = await findPeer(device)
  const peers: PeerChoice | undefined = first && { start, variants }
  const versions = withPeer(facts, first)
  const rows: Row[] = []
  const options = {
    device,
    peers,
    batch: flags.batch ?? (flags.quick && device.name === 'cpu' ? 8 : undefined),
    blocks: flags.quick ? 3 : 5,
    blockSeconds: flags.quick ? 0.7 : 2,
    onRow: async (row: Row) => {
      rows.push(row)
      await keep(recordOf(row), versions, flags)
    },
  }
  for (const one of selected) {
    note(`measuring ${caseName(one)}`)
    if (mode !== 'caption') await benchTraining(one, options)
    // Captioning knows no cache.
    const captioned = { ...one, cached: false }
    if (mode !== 'train' && selected.find(({ preset }) => preset === one.preset) === one)
      await benchCaptioning(captioned, options)
  }
  first?.close()
  if (!flags.json) print(table([heading, ...rows.map(cellsOf)]))
}

async function benchSingleKernels(device: Device, facts: Facts, flags: Flags): Promise<void> {
  requireClone()
  const { benchKernels } = await import('./single-kernels.js')
  const { first: peer } = await findPeer(device)
  const versions = withPeer(facts, peer)
  const rows = await benchKernels({
    device,
    peer,
    images: flags.batch ?? 64,
    blocks: flags.quick ? 3 : 5,
    blockSeconds: flags.quick ? 0.05 : 0.2,
    onRecord: (record) => keep(record, versions, flags),
  })
  peer?.close()
  if (!flags.json) print(table(rows))
}

/** What measures with the samples of the tests is loaded only after this: packages do not hold them. */
function requireClone(): void {
  if (existsSync(join(packageRoot, 'dist/tests'))) return
  throw new ArgumentError(
    'bench: ops and kernels are measured with samples of the tests, which only a clone of the repository holds; ' +
      'train, caption and profile work here',
  )
}

/** PyTorch for `device`, and how to have a new one for each variant; the first of these is the one found. */
async function findPeer(device: Device): Promise<{ first?: Peer; start: () => Promise<Peer> }> {
  const start = async () => {
    const found = await startPeer(threads(), device.name)
    if ('missing' in found) throw new PeerError('hello', found.missing)
    return found
  }
  const first = await startPeer(threads(), device.name).catch((error: unknown) => {
    if (error instanceof PeerError) return { missing: error.message }
    throw error
  })
  if ('missing' in first) {
    note(`without PyTorch: ${first.missing}`)
    return { start }
  }
  let unused = true
  const next = async () => {
    if (!unused) return start()
    unused = false
    return first
  }
  return { first, start: next }
}

function withPeer(facts: Facts, peer: Peer | undefined): Facts {
  const { torch, python } = peer ?? {}
  return { ...facts, versions: { ...facts.versions, ...(peer ? { torch, python } : {}) } }
}

endQuietlyWithoutReader()
program.parseAsync().catch((error: unknown) => {
  process.exitCode = reportFailure(error, process.argv.includes('--json'))
})
