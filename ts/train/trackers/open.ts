/** The trackers of a run, as one: whatever happens to one of them is said once, and neither the others nor training mind. */
import { dashboardTracker } from './dashboard.js'
import { historyTracker } from './history.js'
import { mlflowTracker } from './mlflow.js'
import { tensorboardTracker } from './tensorboard.js'
import type { TrackedRun, Tracker, TrackerName } from './tracker.js'
import { wandbTracker } from './wandb.js'

const openers: Readonly<Record<TrackerName, (run: TrackedRun) => Promise<Tracker>>> = {
  tensorboard: tensorboardTracker,
  wandb: wandbTracker,
  mlflow: mlflowTracker,
}

export interface OpenOptions extends Omit<TrackedRun, 'fail'> {
  readonly trackers: readonly TrackerName[]
  /** Port of the live page; none when left out. */
  readonly dashboard?: number | undefined
  readonly warn: (text: string) => void
  readonly message: (text: string) => void
}

/** Opens the trackers; one that cannot be opened is warned of and left out. */
export async function openTrackers(options: OpenOptions): Promise<Required<Tracker>> {
  const { dashboard, message } = options
  const warned = new Set<string>()
  const failing = (name: string) => (reason: string) => {
    if (warned.has(name)) return
    warned.add(name)
    options.warn(`${name}: ${reason}`)
  }
  const open = async (name: string, opener: (run: TrackedRun) => Promise<Tracker> | Tracker) => {
    const fail = failing(name)
    try {
      return [{ tracker: await opener({ ...options, fail }), fail }]
    } catch (error) {
      fail((error as Error).message)
      return []
    }
  }
  const opened = await open('history.jsonl', historyTracker)
  for (const name of new Set(options.trackers)) opened.push(...(await open(name, openers[name])))
  if (dashboard !== undefined)
    opened.push(...(await open('dashboard', (run) => dashboardTracker(run, dashboard, message))))

  const each = async (work: (tracker: Tracker) => Promise<void> | void) => {
    await Promise.all(
      opened.map(async ({ tracker, fail }) => {
        try {
          await work(tracker)
        } catch (error) {
          fail((error as Error).message)
        }
      }),
    )
  }
  return {
    name: 'all',
    log: (row) => each((tracker) => tracker.log(row)),
    text: (name, text) => each((tracker) => tracker.text?.(name, text)),
    image: (image) => each((tracker) => tracker.image?.(image)),
    close: (outcome) => each((tracker) => tracker.close(outcome)),
  }
}
