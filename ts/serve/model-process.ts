/** A model in a process of its own, model-host.ts. What is sent there and why is process-queue.ts. */
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { DeviceName } from '../native.js'
import type { ModelProcess, ProcessEvents } from './model-keeper.js'
import type { FromHost, ToHost } from './protocol.js'

const entry = fileURLToPath(new URL('./model-host.js', import.meta.url))

/** How long a process may take to end when it is asked to, ms. */
const longestFarewell = 5000

/** Starts loading a model folder. What the process prints goes to stderr. */
export function startModelProcess(
  folder: string,
  device: DeviceName,
  { onMessage, onExit }: ProcessEvents,
): ModelProcess {
  const child = fork(entry, [folder, device], {
    serialization: 'advanced',
    execArgv: [],
    // Threads for images that are decoded and for waiting for the device.
    env: { UV_THREADPOOL_SIZE: String(availableParallelism() + 3), ...process.env },
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  let reason = ''
  // Answers that it wrote may still be on their way when it is gone: only then has the channel ended.
  let left = false
  const leave = (): void => {
    if (left || !reason || child.connected) return
    left = true
    onExit(reason)
  }
  child.on('message', (message) => onMessage(message as FromHost))
  child.on('disconnect', leave)
  child.once('error', (error) => {
    reason ||= error.message
    leave()
  })
  child.once('exit', (code, signal) => {
    reason ||= signal ? `signal ${signal}` : `exit code ${code}`
    leave()
  })
  return {
    send: (message) => tell(child, message),
    end: () => {
      if (!child.connected) return
      child.disconnect()
      const kill = setTimeout(() => child.kill('SIGKILL'), longestFarewell)
      child.once('exit', () => clearTimeout(kill))
    },
    kill: () => child.kill('SIGKILL'),
  }
}

/** Sends unless the process is gone, which its exit tells. */
function tell(child: ChildProcess, message: ToHost): void {
  if (child.connected) child.send(message, () => {})
}
