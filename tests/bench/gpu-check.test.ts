/** The GPU check without a GPU: how it runs programs, what it reads out of what they print, and the file it keeps. */
import { mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { benchmarks, readBenchmark } from '../../bench/gpu-check/benchmarks.js'
import { sharedLibraries } from '../../bench/gpu-check/prepare.js'
import { compareProbes } from '../../bench/gpu-check/probe.js'
import { createRun, type Ran, tooLong } from '../../bench/gpu-check/program.js'
import { keepPiece } from '../../bench/gpu-check/results.js'
import { readSanitizer, sanitizers } from '../../bench/gpu-check/sanitizer.js'
import { readTap } from '../../bench/gpu-check/tap.js'
import { readRuns, training } from '../../bench/gpu-check/training.js'

const folder = mkdtempSync(join(tmpdir(), 'captioneer-gpu-check-'))
test.after.always(() => rm(folder, { recursive: true, force: true }))

test('what a program prints is kept, in the answer and in the log', async (t) => {
  const log = join(folder, 'log')
  const run = createRun(60, log)
  const script = 'console.log("out"); console.error("err"); process.exitCode = 3'
  const { status, output } = await run(process.execPath, ['-e', script])
  t.is(status, 3)
  t.true(output.includes('out') && output.includes('err'))
  t.regex(readFileSync(log, 'utf8'), /^\$ .*node.* -e .*out.*err/ms)
  await t.throwsAsync(run('no-such-program', []), { code: 'ENOENT' })
})

test('a program that runs too long is ended, with those that it started', async (t) => {
  const run = createRun(2)
  const script =
    'const child = require("child_process").spawn("sleep", ["1000"]); console.log(child.pid); setInterval(() => {}, 1000)'
  const { status, output } = await run(process.execPath, ['-e', script])
  t.is(status, tooLong)
  const state = () => {
    try {
      return /\) (\w)/.exec(readFileSync(`/proc/${Number(output)}/stat`, 'utf8'))?.[1] ?? 'gone'
    } catch {
      return 'gone'
    }
  }
  while (!['gone', 'Z'].includes(state())) await new Promise((resolve) => setTimeout(resolve, 20))
  t.pass('the child of the child ended')
})

test('pieces are kept side by side', async (t) => {
  const file = join(folder, 'results.json')
  await keepPiece(file, 'probe', { passed: false })
  await keepPiece(file, 'train', { passed: true })
  await keepPiece(file, 'probe', { passed: true })
  t.deepEqual(JSON.parse(readFileSync(file, 'utf8')), {
    probe: { passed: true },
    train: { passed: true },
  })
})

const tap = `TAP version 13
ok 1 - ops › add #0: forward
ok 2 - models › backends (skipped: no other device) # SKIP
not ok 3 - ops › add #0: gradients
  ---
  message: off by 2
  ...
`

test('tests are counted from TAP, also when it is cut off', (t) => {
  t.deepEqual(readTap(tap), { passed: 1, skipped: 1, failed: ['ops › add #0: gradients'] })
  t.deepEqual(readTap('ok 1 - one\nok 2'), { passed: 1, skipped: 0, failed: [] })
})

const line = (name: string, hash: string) => JSON.stringify({ name, hash, words: 1, first: [] })

test('probe: the same facts pass, another hash is shown with both sides', (t) => {
  const expected = [line('mma', 'a'), line('tma', 'b'), line('wgmma', 'c')].join('\n')
  t.true(compareProbes(expected, expected).passed)
  const older = compareProbes(expected, `a warning\n${line('mma', 'a')}`)
  t.true(older.passed)
  t.regex(older.summary, /1 facts compared, 0 differ .*, 2 not on this card/)
  const wrong = compareProbes(expected, [line('mma', 'a'), line('tma', 'x')].join('\n'))
  t.false(wrong.passed)
  t.like(wrong.details, {
    missing: ['wgmma'],
    different: [{ name: 'tma', emulator: { hash: 'b' }, card: { hash: 'x' } }],
  })
  t.false(compareProbes(expected, '').passed)
})

const clean = `========= COMPUTE-SANITIZER
ok 1 - ops › add #0: forward
========= ERROR SUMMARY: 0 errors
========= ERROR SUMMARY: 0 errors
`

test('sanitizer: passed only with tests, a summary of each process, and nothing found', (t) => {
  t.true(readSanitizer(0, clean).passed)
  t.true(
    readSanitizer(
      0,
      clean.replaceAll(
        'ERROR SUMMARY: 0 errors',
        'RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)',
      ),
    ).passed,
  )
  t.false(readSanitizer(0, clean.replace(/^ok.*$/m, '')).passed, 'no test ran')
  t.false(readSanitizer(0, 'ok 1 - one\n').passed, 'no summary')
  t.false(readSanitizer(tooLong, clean).passed, 'cut off')
  t.false(readSanitizer(0, `${clean}${tap}`).passed, 'a failed test')
  const report = `========= Invalid __global__ read of size 4 bytes
=========     at add_kernel(float*)+0x90 in elementwise.cu:31
========= Invalid __global__ read of size 4 bytes
========= ERROR SUMMARY: 2 errors
`
  const found = readSanitizer(0, clean + report)
  t.false(found.passed)
  t.like(found.details, {
    reports: { '========= Invalid __global__ read of size 4 bytes': 2 },
  })
})

test('bench: a failed variant of PyTorch is counted, other first losses fail the piece', (t) => {
  const records = (...rows: object[]): Ran => ({
    status: 0,
    output: `measuring tiny\n${rows.map((row) => JSON.stringify(row)).join('\n')}\n`,
  })
  const good = { ours: { median: 1 }, firstLoss: { agree: true } }
  t.true(readBenchmark(['train'], records(good)).passed)
  const failed = readBenchmark(['train'], records(good, { error: 'no triton' }))
  t.true(failed.passed)
  t.regex(failed.summary, /bench train: 2 rows, 1 of PyTorch failed/)
  t.false(readBenchmark(['train'], records({ error: 'no triton' })).passed)
  t.false(readBenchmark(['train'], records({ ...good, firstLoss: { agree: false } })).passed)
  t.false(readBenchmark(['train'], { ...records(good), status: 1 }).passed)
  const cut = readBenchmark(['train'], { status: tooLong, output: `${JSON.stringify(good)}\n{"be` })
  t.like(cut, { passed: false, details: { records: [good] } })
})

test('train: it learns, and the same bits twice', (t) => {
  const run = { losses: [4, 3, 1], imagesPerSecond: 10 }
  t.true(readRuns([run, run]).passed)
  t.false(readRuns([run, { ...run, losses: [4, 3, 1.0000001] }]).passed)
  t.false(readRuns([run, run].map((one) => ({ ...one, losses: [4, 4, 3] }))).passed)
})

test('a piece whose program fails tells how it ended', async (t) => {
  const outcome = await training(async () => ({ status: 134, output: 'aborted' }))
  t.like(outcome, { passed: false, details: { status: 134, end: 'aborted' } })
})

test('pieces run what they are named after', async (t) => {
  const commands: string[] = []
  const run = async (command: string, args: readonly string[]) => {
    commands.push([command, ...args].join(' '))
    return { status: 0, output: '' }
  }
  await sanitizers['sanitizer-racecheck']?.(run)
  await benchmarks['bench-train-resnet18-max']?.(run)
  t.regex(commands[0] ?? '', /^compute-sanitizer --tool racecheck .*ops\/ops\.test\.js/)
  t.regex(commands[1] ?? '', /bench\/main\.js train --preset resnet18-transformer/)
})

test('libraries to carry are those that not every Linux has', (t) => {
  const ldd = `	linux-vdso.so.1 (0x00007ffd)
	libdnnl.so.2 => /lib/x86_64-linux-gnu/libdnnl.so.2 (0x00007f8)
	libgomp.so.1 => /lib/x86_64-linux-gnu/libgomp.so.1 (0x00007f8)
	libstdc++.so.6 => /lib/x86_64-linux-gnu/libstdc++.so.6 (0x00007f8)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f8)
	/lib64/ld-linux-x86-64.so.2 (0x00007f8)
`
  t.deepEqual(
    sharedLibraries(ldd).map(([name]) => name),
    ['libdnnl.so.2', 'libgomp.so.1'],
  )
})
