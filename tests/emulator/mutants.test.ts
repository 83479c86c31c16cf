/** Which statements of a kernel the mutation script takes out, what it reports, and that its list of exceptions is up to date. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { packageRoot } from '../../ts/native.js'
import { addToReport, equivalentMutants } from './mutant-report.js'
import { findMutants, keyOf, type Mutant, mutate } from './mutants.js'

const kernel = `// __syncthreads(); in a comment
template <int pending>
DEVICE void wait() { ptx::cp_async_wait<pending>(); }
void f() {
  __syncthreads();
  if (last) ptx::mbarrier_wait(&ring.full[stage],
                               phase);
  __syncwarp();
  __syncthreads();
  const int any = __syncthreads_or(x);
}
`

test('barriers, waits and fences are found, comments are not', (t) => {
  t.deepEqual(
    findMutants('cuda/x.cu', kernel).map((mutant) => [mutant.line, keyOf(mutant)]),
    [
      [3, 'cuda/x.cu: ptx::cp_async_wait<pending>(); #1'],
      [5, 'cuda/x.cu: __syncthreads(); #1'],
      [6, 'cuda/x.cu: ptx::mbarrier_wait(&ring.full[stage], phase); #1'],
      [8, 'cuda/x.cu: __syncwarp(); #1'],
      [9, 'cuda/x.cu: __syncthreads(); #2'],
    ],
  )
})

test('a mutant loses its statement and keeps its lines', (t) => {
  const wait = findMutants('cuda/x.cu', kernel)[2]
  if (!wait) {
    t.fail()
    return
  }
  const text = mutate(kernel, wait)
  t.regex(text, /\n {2}if \(last\) ;\n\n {2}__syncwarp\(\);/)
  t.is(text.split('\n').length, kernel.split('\n').length)
})

/** The mutants of a file of the project. */
function mutantsOf(file: string): Mutant[] {
  const path = join(packageRoot, file)
  return existsSync(path) ? findMutants(file, readFileSync(path, 'utf8')) : []
}

test('every mutant that is excused is still in the code', (t) => {
  for (const [key, reason] of Object.entries(equivalentMutants())) {
    const file = key.slice(0, key.indexOf(':'))
    t.true(mutantsOf(file).map(keyOf).includes(key), `${key} is gone from ${file}`)
    t.true(reason.length > 40, `${key} needs a reason`)
  }
})

test('several runs add to one report', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'captioneer-mutants-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'report.json')
  const [first, second] = mutantsOf('cuda/attention_cache.cu')
  if (!first || !second) {
    t.fail()
    return
  }
  addToReport(path, [{ mutant: first, caughtBy: 'a race' }], 'abc')
  addToReport(path, [{ mutant: second, caughtBy: undefined }], 'abd')
  const one = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  t.like(one, { commit: 'abd', mutants: 2, caught: 1, equivalent: 0, survived: 1 })
  addToReport(path, [{ mutant: second, caughtBy: 'wrong numbers' }], 'abe')
  const other = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  t.like(other, { commit: 'abe', mutants: 2, caught: 2, survived: 0 })
})
