/** What files tell of the NVIDIA driver, on systems made of a few files. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'ava'
import { driverObstacle, findDriver } from '../../ts/addon/driver.js'

// Another driver than that of the made-up system must not be found.
delete process.env.LD_LIBRARY_PATH

function system(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'captioneer-driver-'))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return root
}

const kernelModule =
  'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.104.05  Release Build  (a@b)\nGCC version: 12\n'

test('no driver', (t) => {
  const root = system({})
  t.is(findDriver(root), undefined)
  t.regex(driverObstacle(13, undefined)?.reason ?? '', /no NVIDIA driver/)
  rmSync(root, { recursive: true })
})

test('the library that programs use tells its version by its name, also beside another kernel module', (t) => {
  const root = system({
    'usr/lib64/libcuda.so.580.65.06': '',
    'proc/driver/nvidia/version': kernelModule,
  })
  symlinkSync('libcuda.so.580.65.06', join(root, 'usr/lib64/libcuda.so.1'))
  const driver = findDriver(root)
  t.is(driver?.version, '580.65.06')
  t.is(driverObstacle(13, driver), undefined)
  t.is(driverObstacle(12, driver), undefined)
  rmSync(root, { recursive: true })
})

test('a driver too old for CUDA 13 is new enough for CUDA 12', (t) => {
  const root = system({
    'usr/lib/x86_64-linux-gnu/libcuda.so.1': '',
    'proc/driver/nvidia/version': kernelModule,
  })
  const driver = findDriver(root)
  t.is(driver?.version, '535.104.05')
  const obstacle = driverObstacle(13, driver)
  t.is(obstacle?.reason, 'the NVIDIA driver is 535.104.05; kernels for CUDA 13 need 580 or newer')
  t.regex(obstacle?.solution ?? '', /Install driver 580 or newer, or the package for an older CUDA/)
  t.is(driverObstacle(12, driver), undefined)
  rmSync(root, { recursive: true })
})

test('a container that sees the driver but not its library', (t) => {
  const root = system({ 'proc/driver/nvidia/version': kernelModule })
  const obstacle = driverObstacle(12, findDriver(root))
  t.is(obstacle?.reason, 'the NVIDIA driver 535.104.05 is there, but not its libcuda.so.1')
  t.regex(obstacle?.solution ?? '', /--gpus all/)
  rmSync(root, { recursive: true })
})

test('a library whose version no file tells, as under WSL, is left to the driver itself', (t) => {
  const root = system({ 'usr/lib/wsl/lib/libcuda.so.1': '' })
  const driver = findDriver(root)
  t.is(driver?.version, undefined)
  t.is(driverObstacle(13, driver), undefined)
  rmSync(root, { recursive: true })
})

test('a library that only the linker knows is found in its cache', (t) => {
  const root = system({ 'opt/nvidia/libcuda.so.1': '' })
  const library = join(root, 'opt/nvidia/libcuda.so.1')
  mkdirSync(join(root, 'etc'))
  writeFileSync(
    join(root, 'etc/ld.so.cache'),
    `glibc-ld.so.cache1.1\0libcuda.so.1\0${library}\0libm.so.6\0`,
  )
  t.is(findDriver(root)?.library, library)
  rmSync(root, { recursive: true })
})
