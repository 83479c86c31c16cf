/** `npm run bench`: how fast training, captioning and single ops are on this machine, beside PyTorch where it is there. */
import { Command } from 'commander'
import { reportFailure } from '../ts/cli/failure.js'
import { oneOf, wholeNumber } from '../ts/cli/options.js'
import { note } from '../ts/cli/terminal.js'
import { type PresetName, presetNames } from '../ts/models/presets.js'
import { type Device, openDevice } from '../ts/native.js'
import { type BenchCase, caseName, cases } from './cases.js'
import { machineFacts, threads } from './machine.js'
import { benchCaptioning, benchTraining, modelReport, type Row } from './models.js'
import { benchOps } from './ops.js'
import { startPeer } from './peer.js'
import { profileTraining } from './profile.js'
import { show } from './report.js'

interface Flags {
  readonly preset?: PresetName
  readonly batch?: number
  readonly quick?: boolean
  readonly spin?: number
  readonly out?: string
}

const modes = ['models', 'train', 'caption', 'ops', 'profile'] as const
type Mode = (typeof modes)[number]

const program = new Command('bench')
  .description(
    'Measures training and captioning, beside PyTorch where there is one; single ops; a training step.',
  )
  .argument('[what]', `${modes.join(', ')}; models is train and caption`, oneOf(modes), 'models')
  .option('--preset <name>', `only this preset: ${presetNames.join(', ')}`, oneOf(presetNames))
  .option('--batch <n>', 'images in a step or call', wholeNumber(1, 4096))
  .option('--quick', 'batches of 8 and short turns')
  .option('--spin <n>', 'GOMP_SPINCOUNT: how long waiting threads spin', wholeNumber(0, 1e9))
  .option('--out <file>', 'append the JSON lines to this file instead of printing them')
  .addHelpText(
    'after',
    `
Examples:
  npm run bench
  npm run bench -- train --preset tiny --quick
  npm run bench -- profile --preset mobilenetv2-transformer
  CAPTIONEER_PYTHON=./venv/bin/python npm run bench -- --out results.jsonl`,
  )
  .exitOverride()
  .configureOutput({ outputError: () => {} })
  .action(bench)

async function bench(mode: Mode, flags: Flags): Promise<void> {
  // Read once, when the kernels' thread library is loaded; PyTorch's process inherits what ours has.
  if (flags.spin !== undefined) process.env.GOMP_SPINCOUNT = String(flags.spin)
  const device = openDevice('cpu')
  const facts = machineFacts()
  const selected = cases.filter(({ preset }) => !flags.preset || preset === flags.preset)
  if (mode === 'ops') await show(await benchOps(device, flags.quick ?? false), facts, flags.out)
  else if (mode === 'profile')
    for (const one of selected)
      await show(await profileTraining(one, device, flags.batch), facts, flags.out)
  else await benchModels(mode, selected, device, facts, flags)
}

async function benchModels(
  mode: Mode,
  selected: readonly BenchCase[],
  device: Device,
  facts: ReturnType<typeof machineFacts>,
  flags: Flags,
): Promise<void> {
  const found = await startPeer(threads())
  if ('missing' in found) note(`without PyTorch: ${found.missing}`)
  const peer = 'missing' in found ? undefined : found
  const options = {
    device,
    peer,
    batch: flags.batch ?? (flags.quick ? 8 : undefined),
    blocks: flags.quick ? 3 : 5,
    blockSeconds: flags.quick ? 0.7 : 2,
  }
  const rows: Row[] = []
  try {
    for (const one of selected) {
      note(`measuring ${caseName(one)}`)
      if (mode !== 'caption') rows.push(await benchTraining(one, options))
      // Captioning knows no cache.
      if (mode !== 'train' && !one.cached) rows.push(...(await benchCaptioning(one, options)))
    }
  } finally {
    peer?.close()
  }
  const { torch, python } = peer ?? {}
  const versions = { ...facts.versions, torch, python }
  await show(modelReport(rows), { ...facts, versions }, flags.out)
}

program.parseAsync().catch((error: unknown) => {
  process.exitCode = reportFailure(error, false)
})
