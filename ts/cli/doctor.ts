/** `captioneer doctor`: what this machine offers, and what stands in the way. Works when nothing else does. */
import os from 'node:os'
import type { Command } from 'commander'
import type { VariantReport } from '../addon/load.js'
import { version } from '../version.js'
import { exitCodes } from './failure.js'
import { bytesText } from './format.js'
import { jsonFlags } from './options.js'
import { paint, print, printJson } from './terminal.js'

/** Something that stands in the way, and what to do about it. */
interface Problem {
  readonly problem: string
  readonly solution: string
}

interface DeviceFacts {
  readonly name: string
  readonly description: string
  /** Memory of the device, bytes. */
  readonly totalBytes: number
  readonly availableBytes: number
}

interface Checkup {
  readonly captioneer: string
  readonly node: string
  readonly machine: {
    readonly system: string
    readonly architecture: string
    readonly processor: string
    /** Cores that this process may use. */
    readonly cores: number
    readonly memoryBytes: number
    readonly freeMemoryBytes: number
  }
  readonly variants: readonly VariantReport[]
  readonly devices: readonly DeviceFacts[]
  readonly problems: readonly Problem[]
}

export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .summary('say what this machine offers and what is wrong')
    .description(
      'Look at the machine: processor, memory, builds of the native addon tried and why each failed, devices, and ' +
        'problems with what to do about them. The exit code is 1 when captioneer cannot work here.',
    )
    .option(...jsonFlags)
    .addHelpText('after', help)
    .action(async (flags: { readonly json?: true }) => {
      const checkup = await examine()
      if (flags.json) printJson(checkup)
      else print(report(checkup))
      if (checkup.devices.length === 0) process.exitCode = exitCodes.failure
    })
}

const help = `
Examples:
  captioneer doctor
  captioneer doctor --json
  CAPTIONEER_VARIANT=cpu captioneer doctor
`

async function examine(): Promise<Checkup> {
  const { tryAddon, whyNoGpu } = await import('../native.js')
  const { isGpuExpected } = await import('../addon/load.js')
  const { addon, gpu, reports } = tryAddon(true)
  const problems: Problem[] = []
  if (!addon) problems.push(notLoaded(reports))
  const devices: DeviceFacts[] = []
  for (const name of addon?.devices() ?? []) {
    try {
      devices.push(await deviceFacts(name))
    } catch (error) {
      problems.push({
        problem: `device "${name}" cannot be opened: ${messageOf(error)}`,
        solution: 'Choose another one with --device',
      })
    }
  }
  if (addon && isGpuExpected({ gpu, reports }) && !addon.devices().includes('cuda'))
    problems.push({
      problem: `no GPU is used: ${whyNoGpu()}`,
      solution: 'Until then captioning and training run on the processor',
    })
  problems.push(...(await imageProblems()))
  return {
    captioneer: version,
    node: process.version,
    machine: machineFacts(),
    variants: reports,
    devices,
    problems,
  }
}

function notLoaded(reports: readonly VariantReport[]): Problem {
  const wanted = process.env.CAPTIONEER_VARIANT
  const solutions = new Set(reports.flatMap(({ solution }) => solution ?? []))
  if (wanted)
    solutions.add(`CAPTIONEER_VARIANT asks for "${wanted}" alone: unset it, or set it to cpu`)
  return {
    problem: 'no build of the native addon could be loaded',
    solution: [...solutions].join('\n'),
  }
}

function machineFacts(): Checkup['machine'] {
  // 0 or a huge number where no limit is set, e.g. by a container.
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY
  return {
    system: `${os.type()} ${os.release()}`,
    architecture: os.arch(),
    processor: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: Math.min(os.totalmem(), limit),
    freeMemoryBytes: Math.min(os.freemem(), limit),
  }
}

async function deviceFacts(name: string): Promise<DeviceFacts> {
  const { openDevice } = await import('../native.js')
  const { memory } = await import('../tensor.js')
  const device = openDevice(name === 'cuda' ? 'cuda' : 'cpu')
  const { totalBytes, availableBytes } = memory(device)
  return { name, description: device.description, totalBytes, availableBytes }
}

/** sharp is a native module of its own, with its own ways to be missing. */
async function imageProblems(): Promise<Problem[]> {
  try {
    await import('sharp')
    return []
  } catch (error) {
    return [
      {
        problem: `images cannot be decoded, as sharp does not load: ${messageOf(error)}`,
        solution: 'Install it anew: npm install --include=optional sharp',
      },
    ]
  }
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}

function outcome({ folder, loaded, present, reason }: VariantReport): string {
  if (loaded) return `loaded from ${folder}`
  return present ? `not loaded from ${folder}: ${reason}` : `${reason}`
}

function report({ captioneer, node, machine, variants, devices, problems }: Checkup): string {
  const heading = (text: string) => paint(process.stdout, 'bold', text)
  const bad = (text: string) => paint(process.stdout, 'red', text)
  return [
    `captioneer ${captioneer} on Node ${node}`,
    `${machine.system}, ${machine.architecture}`,
    `${machine.processor}, ${machine.cores} cores, ${bytesText(machine.freeMemoryBytes)} of ` +
      `${bytesText(machine.memoryBytes)} free`,
    heading('Builds of the native addon'),
    ...variants.map((variant) => `  ${variant.variant}: ${outcome(variant)}`),
    heading('Devices'),
    ...devices.map(
      ({ name, description, availableBytes, totalBytes }) =>
        `  ${name}: ${description}, ${bytesText(availableBytes)} of ${bytesText(totalBytes)} free`,
    ),
    ...(devices.length === 0 ? ['  none'] : []),
    heading('Problems'),
    ...problems.map(
      ({ problem, solution }) => `  ${bad(problem)}\n    ${solution.replaceAll('\n', '\n    ')}`,
    ),
    ...(problems.length === 0 ? ['  none'] : []),
  ].join('\n')
}
