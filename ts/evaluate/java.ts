/** Runs a jar that the user has: METEOR's or SPICE's. What goes in and comes out is jars.ts. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { ArgumentError, DataError } from '../errors.js'
import { systemCode, systemReason } from '../files/system-error.js'

export interface JavaRun {
  /** What the jar computes, for messages: "METEOR". */
  readonly name: string
  readonly jar: string
  /** Largest heap, such as "2G". */
  readonly heap: string
  readonly words: readonly string[]
  /** For its standard input. */
  readonly input?: string
  readonly signal?: AbortSignal | undefined
}

/**
 * The standard output of a jar, run in its own folder, where it looks for its data.
 * @throws ArgumentError when the jar or Java is not there; DataError when it fails; the signal's reason
 */
export async function runJar({ name, jar, heap, words, input, signal }: JavaRun): Promise<string> {
  await checkJar(name, jar)
  const file = resolve(jar)
  const { output, errors, end } = await runJava(
    name,
    [`-Xmx${heap}`, '-jar', file, ...words],
    dirname(file),
    input,
    signal,
  )
  if (end === undefined) return output
  const last = errors.trim().split('\n').at(-1) ?? ''
  throw new DataError(
    `${name}: java -jar ${jar} ended with ${end}${last && `: ${last}`}. Try the jar alone, or leave this score out`,
  )
}

/** Throws ArgumentError when the jar is not there. */
export async function checkJar(name: string, jar: string): Promise<void> {
  const found = await stat(resolve(jar)).catch(() => undefined)
  if (found?.isFile()) return
  throw new ArgumentError(
    `${name}: expected ${jar} to be its jar, found ${found ? 'no file' : 'nothing'} there. ` +
      'Give the path of the jar, or leave this score out',
  )
}

/** Throws ArgumentError when there is no Java. */
export async function checkJava(name: string): Promise<void> {
  await runJava(name, ['-version'])
}

interface JavaEnd {
  readonly output: string
  readonly errors: string
  /** Undefined when it ended well. */
  readonly end: string | undefined
}

async function runJava(
  name: string,
  words: readonly string[],
  cwd?: string,
  input = '',
  signal?: AbortSignal | undefined,
): Promise<JavaEnd> {
  signal?.throwIfAborted()
  const child = spawn('java', words, {
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
    ...(cwd !== undefined && { cwd }),
    ...(signal && { signal }),
  })
  // A jar that ends early breaks the pipe; its exit code says more.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  try {
    const [output, errors, [code, killed]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number | null, string | null]>,
    ])
    return { output, errors, end: code === 0 ? undefined : (killed ?? `code ${code}`) }
  } catch (error) {
    signal?.throwIfAborted()
    if (systemCode(error) === undefined) throw error
    if (systemCode(error) !== 'ENOENT')
      throw new DataError(`${name}: starting java: ${systemReason(error)}`, { cause: error })
    throw new ArgumentError(
      `${name}: its jar needs Java, but there is no program "java" in PATH. ` +
        'Install a Java runtime (Debian: apt-get install default-jre-headless), or leave this score out',
      { cause: error },
    )
  }
}
