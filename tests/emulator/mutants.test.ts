/** Which statements of a kernel the mutation script takes out. */
import test from 'ava'
import { findMutants, keyOf, mutate } from './mutants.js'

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
