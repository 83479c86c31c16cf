/** Which ways of running PyTorch a device has, and what a wrong name is told. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { variantNames, variantsFor } from '../../bench/variants.js'
import { ArgumentError } from '../../ts/errors.js'
import { packageRoot } from '../../ts/native.js'

test('without a list: all on a GPU, eager on the CPU', (t) => {
  t.deepEqual(variantsFor('cuda', undefined), variantNames)
  t.deepEqual(variantsFor('cpu', undefined), ['eager'])
})

test('a list keeps its order', (t) => {
  t.deepEqual(variantsFor('cuda', 'compile,eager-tf32'), ['compile', 'eager-tf32'])
})

test('what a device does not know is refused with the names that it knows', (t) => {
  const wrong = t.throws(() => variantsFor('cuda', 'eager,compil'), { instanceOf: ArgumentError })
  t.regex(wrong?.message ?? '', /eager-tf32, eager, .*received compil\. Did you mean compile\?/)
  const gpuOnly = t.throws(() => variantsFor('cpu', 'graphs'), { instanceOf: ArgumentError })
  t.regex(gpuOnly?.message ?? '', /expected some of eager, compile on device cpu/)
})

test("PyTorch's side knows the same names", (t) => {
  const serve = readFileSync(join(packageRoot, 'bench', 'peers', 'serve.py'), 'utf8')
  const table = /^VARIANTS = \{$(.*?)^\}$/ms.exec(serve)?.[1] ?? ''
  t.deepEqual(
    [...table.matchAll(/"([\w-]+)": \((?:True|False)/g)].map(([, name]) => name),
    [...variantNames],
  )
})
