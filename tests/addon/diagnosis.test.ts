/** What is made of the words of the system's linker. They are those of glibc 2.36. */
import test from 'ava'
import type { Build } from '../../ts/addon/builds.js'
import { explain, glibcVersion } from '../../ts/addon/diagnosis.js'
import { version } from '../../ts/version.js'

const name = '@captioneer/linux-x64'
const packaged: Build = { variant: 'cpu', folder: '/a', gpu: false, package: { name, version } }
const own: Build = { variant: 'cpu', folder: '/a', gpu: false }

test('a glibc that is too old: which is needed, which is there, what to do', (t) => {
  const said =
    "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.99' not found (required by /a/captioneer.node)"
  const { reason, solution } = explain(said, packaged)
  t.is(reason, `it needs glibc 2.99 or newer, this system has ${glibcVersion()}`)
  t.regex(solution ?? '', /^Use a newer system .*captioneer-setup|npx captioneer compile/)
  t.regex(glibcVersion() ?? '', /^2\.\d+$/)
})

test('a compiler newer than the C++ runtime', (t) => {
  const said =
    "/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by /a/captioneer.node)"
  t.regex(explain(said, own).reason, /C\+\+ runtime has no GLIBCXX_3\.4\.30/)
})

test('a library that is missing: the system package, or the package again', (t) => {
  const said = (library: string) =>
    `${library}: cannot open shared object file: No such file or directory`
  t.deepEqual(explain(said('libdnnl.so.2'), own), {
    reason: 'it needs libdnnl.so.2, which is not there',
    solution: 'On Debian and Ubuntu: apt-get install libdnnl2',
  })
  t.is(
    explain(said('libother.so.7'), packaged).solution,
    `Install it again: npm install --force ${name}@${version}`,
  )
})

test('damaged, foreign and forbidden files', (t) => {
  t.regex(explain('/a/x.node: file too short', packaged).reason, /its file is damaged/)
  t.regex(explain('/a/x.node: invalid ELF header', packaged).reason, /its file is damaged/)
  t.regex(
    explain('/a/x.node: wrong ELF class: ELFCLASS32', packaged).reason,
    /made for another processor/,
  )
  t.regex(
    explain('/a/x.node: failed to map segment from shared object', packaged).solution ?? '',
    /noexec/,
  )
})

test('what nobody foresaw is passed on', (t) => {
  t.is(
    explain('/a/x.node: undefined symbol: foo\nmore', own).reason,
    '/a/x.node: undefined symbol: foo',
  )
})
