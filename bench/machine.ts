/** Where and with what a measurement was made: part of every record. */
import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { packageRoot } from '../ts/native.js'
import { version } from '../ts/version.js'

/** Threads that kernels use, and PyTorch beside them. */
export function threads(): number {
  const asked = Number(process.env.OMP_NUM_THREADS)
  return Number.isInteger(asked) && asked > 0 ? asked : availableParallelism()
}

const threadSettings = ['OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'OMP_PROC_BIND', 'CAPTIONEER_PIN']

/** Facts about the machine, the versions and the commit at this moment. */
export function machineFacts() {
  return {
    date: new Date().toISOString(),
    commit: commit(),
    versions: { captioneer: version, node: process.versions.node },
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      threads: threads(),
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      linux: release(),
      // Others at work make every figure worse than the machine is.
      loadAverage: loadavg().map((x) => Math.round(x * 100) / 100),
    },
    threading: Object.fromEntries(threadSettings.map((name) => [name, process.env[name]])),
  }
}

/** The commit of this checkout, and whether files were changed since. */
export function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: packageRoot, encoding: 'utf8', stdio: 'pipe' }).trim()
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== ''
    return git('rev-parse', '--short', 'HEAD') + (changed ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}
