import { execFile } from 'node:child_process'
import { chmod, open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { CheckpointError } from '../../ts/errors.js'
import { removeLeftovers, writeAtomic } from '../../ts/files/atomic.js'
import { bound, temporaryFolder } from './temporary-folder.js'

const run = promisify(execFile)
const writer = join(import.meta.dirname, 'write-large.js')

test('a written file is there whole, without a temporary one', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'a.txt')
  await writeAtomic(path, (file) => file.writeFile('one'))
  await writeAtomic(path, async (file) => {
    t.is(await readFile(path, 'utf8'), 'one', 'the old file stands until the new one is whole')
    await file.writeFile('two')
  })
  t.is(await readFile(path, 'utf8'), 'two')
  t.deepEqual(await readdir(folder), ['a.txt'])
})

test('two writers of one file leave one of the two contents', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'a.txt')
  const contents = ['a', 'b', 'c'].map((letter) => letter.repeat(100_000))
  await Promise.all(contents.map((text) => writeAtomic(path, (file) => file.writeFile(text))))
  t.true(contents.includes(await readFile(path, 'utf8')))
  t.deepEqual(await readdir(folder), ['a.txt'])
})

test('an error of the writer passes through and the old file stays', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'a.txt')
  await writeFile(path, 'old')
  const fault = new RangeError('mine')
  const error = await t.throwsAsync(
    writeAtomic(path, async (file) => {
      await file.writeFile('half')
      throw fault
    }),
  )
  t.is(error, fault)
  t.is(await readFile(path, 'utf8'), 'old')
  t.deepEqual(await readdir(folder), ['a.txt'])
})

test('a folder that is not there is named', async (t) => {
  const path = join(await temporaryFolder(t), 'none', 'a.txt')
  await t.throwsAsync(
    writeAtomic(path, async () => {}),
    {
      instanceOf: CheckpointError,
      message: `saving ${path}: no such file or folder. Check the path (ENOENT)`,
    },
  )
})

test.serial('no permission: the reason, what to do, and the old file stays', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'a.txt')
  await writeFile(path, 'old')
  await chmod(folder, 0o555)
  await bound(async () => {
    await t.throwsAsync(
      writeAtomic(path, (file) => file.writeFile('new')),
      {
        instanceOf: CheckpointError,
        message: `saving ${path}: permission denied. Give this user access, or choose another folder (EACCES)`,
      },
    )
  })
  await chmod(folder, 0o755)
  t.is(await readFile(path, 'utf8'), 'old')
  t.deepEqual(await readdir(folder), ['a.txt'])
})

test('a full device: the reason, what to do, and the old file stays', async (t) => {
  const device = await open('/dev/full', 'w').catch(() => undefined)
  if (device === undefined) {
    t.log('skipped: this system has no /dev/full')
    return t.pass()
  }
  const folder = await temporaryFolder(t)
  const path = join(folder, 'a.txt')
  await writeFile(path, 'old')
  await t.throwsAsync(
    writeAtomic(path, async () => {
      await device.write('new')
    }),
    {
      instanceOf: CheckpointError,
      message: `saving ${path}: no space left on the disk. Free some space and start again (ENOSPC)`,
    },
  )
  await device.close()
  t.is(await readFile(path, 'utf8'), 'old')
  t.deepEqual(await readdir(folder), ['a.txt'])
})

test('a disk that fills up in the middle of a file keeps the old one', async (t) => {
  const disk = await temporaryFolder(t)
  const onSmallDisk = (script: string) => {
    const mounted = `mount -t tmpfs -o size=1m tmpfs "$1" && { ${script}; }`
    const shell = ['sh', '-c', mounted, 'sh', disk, process.execPath, writer]
    return run('unshare', ['--user', '--map-root-user', '--mount', ...shell])
  }
  const reason = await onSmallDisk('true').then(() => undefined, String)
  if (reason !== undefined) {
    t.log(`skipped: this user cannot mount a small disk (${reason})`)
    return t.pass()
  }
  const { stdout } = await onSmallDisk(
    'echo old > "$1/a.txt"; "$2" "$3" "$1/a.txt"; cat "$1/a.txt"; ls -A "$1"',
  )
  t.is(
    stdout,
    `saving ${disk}/a.txt: no space left on the disk. Free some space and start again (ENOSPC)\n` +
      'old\na.txt\n',
  )
})

test('a file larger than the user may write keeps the old one', async (t) => {
  if (process.platform === 'win32') {
    t.log('skipped: Windows has no ulimit')
    return t.pass()
  }
  const path = join(await temporaryFolder(t), 'a.txt')
  await writeFile(path, 'old')
  const script = 'ulimit -f 512; "$1" "$2" "$3"'
  const { stdout } = await run('sh', ['-c', script, 'sh', process.execPath, writer, path])
  t.regex(stdout, /^saving .*: the file would be larger than this user may write.*\(EFBIG\)\n$/)
  t.is(await readFile(path, 'utf8'), 'old')
})

test('leftovers of dead processes are removed, those of living ones stay', async (t) => {
  const folder = await temporaryFolder(t)
  const { stdout: dead } = await run(process.execPath, ['-p', 'process.pid'])
  const mine = `.a.txt.${process.pid}-999999.tmp`
  const parents = `.a.txt.${process.ppid}-1.tmp`
  for (const name of [`.a.txt.${dead.trim()}-0.tmp`, mine, parents, 'b.tmp']) {
    await writeFile(join(folder, name), '')
  }
  await writeAtomic(join(folder, 'a.txt'), async () => {
    await removeLeftovers(folder)
    const names = await readdir(folder)
    t.false(names.includes(mine), 'an earlier process with the same id wrote it')
    t.is(names.length, 3, names.join(' '))
  })
  t.deepEqual((await readdir(folder)).sort(), [parents, 'a.txt', 'b.tmp'])
})
