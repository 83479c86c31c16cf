/**
 * Loads the native addon: the first build that fits this machine, and why each before it does not. What the addon offers is
 * typed in native.ts.
 */
import { createRequire } from 'node:module'
import { version } from '../version.js'
import {
  type Build,
  builds,
  cudaVersions,
  packageName,
  platform,
  prebuiltPlatforms,
} from './builds.js'
import { explain, isClone, missing, type Obstacle } from './diagnosis.js'
import { type Driver, driverObstacle, findDriver } from './driver.js'
import { type TestLoad, testLoad } from './test-load.js'

/** What became of one build when the addon was looked for. */
export interface VariantReport {
  readonly variant: string
  readonly folder: string
  readonly loaded: boolean
  /** Whether there is such a build at all. */
  readonly present: boolean
  readonly reason?: string
  readonly solution?: string
}

/** The addon before native.ts gives it its type. */
export interface LoadedAddon {
  readonly addon?: object
  /** With kernels for GPUs, whether or not there is one. */
  readonly gpu?: boolean
  readonly reports: readonly VariantReport[]
}

const require = createRequire(import.meta.url)
const nodeGypBuild = require('node-gyp-build') as { resolve(folder: string): string }

let kept: LoadedAddon | undefined

/**
 * Tries build after build, once a process. Never throws: the reports say why each failed.
 *
 * @param careful each is loaded in a process of its own first, so that one that crashes is passed over too
 */
export function findAddon({ careful = false } = {}): LoadedAddon {
  if (kept) return kept
  setUpThreads()
  const found = tryBuilds(process.env.CAPTIONEER_VARIANT, careful)
  if (found.addon) kept = found
  return found
}

function tryBuilds(wanted: string | undefined, careful: boolean): LoadedAddon {
  const driver = findDriver()
  const reports: VariantReport[] = []
  // Builds that load, but whose GPU kernels cannot run here: better than none, for they have the CPU's kernels too.
  const lastResort: Build[] = []
  for (const build of builds(wanted)) {
    const absent = missing(build)
    if (absent) {
      if (wanted || isExpected(build, driver)) reports.push(refused(build, absent, false))
      continue
    }
    const unfit = wanted ? undefined : gpuObstacle(build, driver)
    if (unfit) {
      reports.push(refused(build, unfit))
      lastResort.push(build)
      continue
    }
    const outcome = load(build, careful)
    reports.push(outcome.report)
    if (outcome.addon) return { addon: outcome.addon, gpu: build.gpu, reports }
  }
  for (const build of lastResort) {
    const { addon, report } = load(build, careful)
    if (addon) return { addon, gpu: true, reports: [...reports, report] }
  }
  return { reports }
}

/** Whether it is news that a build is not there: clones make their own, others install them; GPU kernels need a driver. */
function isExpected({ gpu, package: from }: Build, driver: Driver | undefined): boolean {
  if (isClone || !from) return isClone && !from
  return !gpu || (driver !== undefined && !driverObstacle(from.cuda ?? 0, driver))
}

/** A build that was made here has been asked for; of packages the one for this driver is wanted. */
function gpuObstacle(build: Build, driver: Driver | undefined): Obstacle | undefined {
  if (build.package?.cuda === undefined) return undefined
  const obstacle = driverObstacle(build.package.cuda, driver)
  if (obstacle || driver?.version !== undefined) return obstacle
  // The driver is there and no file tells its version: it is asked, where it can do no harm.
  const { crash, error, whyNoGpu } = tryElsewhere(build)
  if (error !== undefined) return explain(error, build)
  if (crash !== undefined) return crashed(crash)
  return whyNoGpu ? { reason: whyNoGpu } : undefined
}

function tryElsewhere({ folder }: Build): TestLoad {
  try {
    return testLoad(nodeGypBuild.resolve(folder))
  } catch (error) {
    return { error: messageOf(error) }
  }
}

function crashed(reason: string): Obstacle {
  return { reason, solution: 'Please report it. Until then take another: CAPTIONEER_VARIANT=cpu' }
}

function load(build: Build, careful: boolean): { addon?: object; report: VariantReport } {
  const { crash } = careful ? tryElsewhere(build) : {}
  if (crash !== undefined) return { report: refused(build, crashed(crash)) }
  const { variant, folder } = build
  try {
    const addon = require(nodeGypBuild.resolve(folder)) as object
    return { addon, report: { variant, folder, loaded: true, present: true } }
  } catch (error) {
    return { report: refused(build, explain(messageOf(error), build)) }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function refused(
  { variant, folder }: Build,
  { reason, solution }: Obstacle,
  present = true,
): VariantReport {
  const remedy = solution === undefined ? {} : { solution }
  return { variant, folder, loaded: false, present, reason, ...remedy }
}

/** A helper thread of OpenMP reads these once, when its library is loaded. */
function setUpThreads(): void {
  // One that finds no work spins for about 0.1 ms before it sleeps: waking a sleeping one costs as much on a virtual machine,
  // and a step has hundreds of kernels. Endless spinning made small models 20 times slower as soon as another process wanted
  // the core.
  process.env.OMP_WAIT_POLICY ??= 'PASSIVE'
  process.env.GOMP_SPINCOUNT ??= '10000'
}

/** One line per build tried and why it failed, then what to do. */
export function addonNotFound(reports: readonly VariantReport[]): string {
  const solutions = [...new Set(reports.flatMap(({ solution }) => solution ?? []))]
  return [
    'captioneer: its native addon could not be loaded.',
    ...reports.map(({ variant, folder, reason }) => `  ${variant} (${folder}): ${reason}`),
    'Possible solutions:',
    ...[...solutions, wayOut()].map((text) => `  - ${text}`),
  ].join('\n')
}

function wayOut(): string {
  const wanted = process.env.CAPTIONEER_VARIANT
  return wanted
    ? `CAPTIONEER_VARIANT asks for "${wanted}" alone: unset it, or set it to cpu`
    : 'See what this machine has: npx captioneer doctor'
}

/** Whether somebody would wonder that no GPU is used: a build with GPU kernels is there, or an NVIDIA driver. */
export function isGpuExpected({ gpu, reports }: LoadedAddon): boolean {
  return gpu === true || findDriver() !== undefined || reports.some(isRefusedGpuBuild)
}

/** Why the build that was loaded has no GPU kernels, and how to get them. */
export function whyNoGpuKernels(reports: readonly VariantReport[]): string {
  const report =
    reports.find(isRefusedGpuBuild) ?? reports.find(({ variant }) => variant.startsWith('cuda'))
  if (report && (report.present || findDriver()))
    return [report.reason, report.solution].filter(Boolean).join('. ')
  return `this build has no GPU kernels. ${howToGetGpu()}`
}

function isRefusedGpuBuild({ variant, loaded, present }: VariantReport): boolean {
  return variant.startsWith('cuda') && present && !loaded
}

function howToGetGpu(): string {
  if (isClone) return 'Rebuild with: npm run build -- --gpu'
  if (!prebuiltPlatforms.includes(platform))
    return 'Compile them with: npx captioneer compile --gpu'
  const driver = findDriver()
  const fitting = cudaVersions.find((cuda) => !driverObstacle(cuda, driver)) ?? cudaVersions[0]
  return `Install them with: npm install ${packageName(fitting)}@${version}`
}
