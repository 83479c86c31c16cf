/** Files that PyTorch wrote (tests/fixtures/make_pytorch_files.py): every tensor, number for number, or a refusal that says why. */
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { CheckpointError } from '../../../ts/errors.js'
import { readPyTorch } from '../../../ts/files/pytorch/checkpoint.js'
import { writeSafetensors } from '../../../ts/files/safetensors.js'
import { readTensorFile } from '../../../ts/files/tensor-file.js'
import { packageRoot } from '../../../ts/native.js'
import { temporaryFolder } from '../temporary-folder.js'

type State = Record<string, { shape: number[]; values: number[] }>

const folder = join(packageRoot, 'tests/fixtures/pytorch')
const expected: Record<string, Record<string, State>> = JSON.parse(
  await readFile(join(folder, 'expected.json'), 'utf8'),
)

for (const [name, states] of Object.entries(expected)) {
  for (const [key, state] of Object.entries(states)) {
    const what = key === '' ? name : `${name}, key ${key}`
    test(`${what}: every tensor as PyTorch has it`, async (t) => {
      const several = Object.keys(states).length > 1
      const file = await readPyTorch(join(folder, name), several ? key : undefined)
      t.deepEqual([...file.tensors.keys()], Object.keys(state))
      for (const [tensor, { shape, values }] of Object.entries(state)) {
        t.deepEqual(file.tensors.get(tensor)?.shape, shape, tensor)
        t.deepEqual(Array.from(file.float32(tensor)), values.map(Math.fround), tensor)
      }
    })
  }
}

test('a key chooses the state dict; a wrong one and a missing one name those there are', async (t) => {
  const path = join(folder, 'checkpoint.pth')
  t.true((await readPyTorch(path, 'state_dict')).tensors.has('conv.weight'))
  const refusedAs = async (file: string, key: string | undefined, message: RegExp) =>
    t.throwsAsync(readPyTorch(join(folder, file), key), { instanceOf: CheckpointError, message })
  await refusedAs(
    'checkpoint.pth',
    'state_dct',
    /no dict of tensors at "state_dct"\. Did you mean "state_dict"\? There are: "state_dict"$/,
  )
  await refusedAs(
    'two.pt',
    undefined,
    /several dicts of tensors, "encoder_model", "decoder_model"\. Say which one with --key KEY$/,
  )
  await refusedAs('nothing.pth', undefined, /it holds no dict of tensors/)
})

test('a whole module and a TorchScript program are refused by name, with what to do', async (t) => {
  await t.throwsAsync(readPyTorch(join(folder, 'module.pth')), {
    instanceOf: CheckpointError,
    message:
      /module\.pth: its pickle asks for "torch\.nn\.modules\.container\.Sequential"\. Only tensors .* save its weights alone: torch\.save\(model\.state_dict\(\), 'weights\.pth'\)$/,
  })
  await t.throwsAsync(readPyTorch(join(folder, 'script.pt')), {
    instanceOf: CheckpointError,
    message: /a TorchScript archive, which holds a program/,
  })
})

test('an expanded tensor is not blown up, others of its file are read', async (t) => {
  const file = await readPyTorch(join(folder, 'expanded.pth'))
  t.deepEqual(Array.from(file.float32('plain')), [-2, -0.75])
  t.throws(() => file.float32('wide'), {
    instanceOf: CheckpointError,
    message: /tensor "wide": \[1000\] repeats the 1 numbers of its storage/,
  })
  t.throws(() => file.float32('plian'), { message: /"plian" is missing.*nearest .*"plain"/ })
})

test('the kind of a file is told by its bytes, not by its name', async (t) => {
  const temporary = await temporaryFolder(t)
  const disguised = join(temporary, 'weights.safetensors')
  await copyFile(join(folder, 'state_dict.pth'), disguised)
  t.true((await readTensorFile(disguised)).tensors.has('conv.weight'))
  const plain = join(temporary, 'weights.pth')
  const data = new Uint8Array(new Float32Array([1, 2]).buffer)
  await writeSafetensors(plain, [{ name: 'a', dtype: 'F32', shape: [2], data }])
  t.deepEqual(Array.from((await readTensorFile(plain)).float32('a')), [1, 2])
})

test('what is no checkpoint says so: missing, empty, a folder, tar, a bare pickle, text', async (t) => {
  const temporary = await temporaryFolder(t)
  const tar = Buffer.alloc(1024)
  tar.write('ustar', 257)
  const files: [string, Buffer, RegExp][] = [
    ['empty.pth', Buffer.alloc(0), /expected at least 8 bytes, received 0/],
    ['old.pth.tar', tar, /a tar file, as PyTorch wrote before 0\.1\.10\. Load it in Python/],
    ['bare.pth', Buffer.from('8004952e', 'hex'), /its first 4 bytes are not those of a file of/],
    ['cut.pth', (await readFile(join(folder, 'two.pt'))).subarray(0, 900), /no zip directory/],
  ]
  for (const [name, content, message] of files) {
    const path = join(temporary, name)
    await writeFile(path, content)
    await t.throwsAsync(readTensorFile(path), { instanceOf: CheckpointError, message }, name)
  }
  await t.throwsAsync(readTensorFile(join(temporary, 'no.pth')), { message: /no such file/ })
  await t.throwsAsync(readTensorFile(temporary), { instanceOf: CheckpointError })
})
