import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { DataError } from '../../ts/errors.js'
import { findPictures } from '../../ts/folders/find-pictures.js'
import { bound, temporaryFolder } from '../files/temporary-folder.js'

async function files(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await mkdir(join(folder, name, '..'), { recursive: true })
    await writeFile(join(folder, name), '')
  }
}

test('pictures of folders in natural order; other files are counted, hidden ones are not', async (t) => {
  const folder = await temporaryFolder(t)
  await files(folder, ['b10.jpg', 'b9.JPG', 'a/2.png', 'a/b/1.webp', 'c.heic', 'd.HEIC', '.x.jpg'])
  await files(folder, ['.hidden/z.jpg', '__MACOSX/z.jpg', 'folder.jpg/inside.png'])
  const all = await findPictures([folder], { recursive: true })
  t.deepEqual(
    all.pictures.map(({ name }) => name),
    ['a/2.png', 'a/b/1.webp', 'b9.JPG', 'b10.jpg', 'folder.jpg/inside.png'],
  )
  t.deepEqual([...all.others], [['.heic', 2]])
  const top = await findPictures([folder], { recursive: false })
  t.deepEqual(
    top.pictures.map(({ name }) => name),
    ['b9.JPG', 'b10.jpg'],
  )
})

test('no picture comes twice; a file stands for itself, also one that is not there', async (t) => {
  const folder = await temporaryFolder(t)
  await files(folder, ['a.jpg', 'b.jpg'])
  const words = [join(folder, 'b.jpg'), folder, `${folder}/../none.jpg`]
  const { pictures } = await findPictures(words, { recursive: false })
  t.deepEqual(
    pictures.map(({ name }) => name),
    ['b.jpg', 'a.jpg', 'none.jpg'],
  )
})

test('loops of links end; links to pictures are pictures', async (t) => {
  const folder = await temporaryFolder(t)
  await files(folder, ['sub/a.jpg'])
  await symlink('..', join(folder, 'sub/up'))
  await symlink('self', join(folder, 'self'))
  await symlink('sub/a.jpg', join(folder, 'link.jpg'))
  await symlink('gone.jpg', join(folder, 'broken.jpg'))
  const { pictures, passedOver } = await findPictures([folder], { recursive: true })
  t.deepEqual(
    pictures.map(({ name }) => name),
    ['broken.jpg', 'link.jpg', 'sub/a.jpg'],
  )
  t.deepEqual(passedOver, [
    { path: join(folder, 'sub/up'), reason: 'a link to a folder, which is not followed' },
  ])
})

test('a folder without pictures, or that is not readable', async (t) => {
  const folder = await temporaryFolder(t)
  await files(folder, ['sub/a.jpg'])
  await t.throwsAsync(findPictures([folder], { recursive: false }), {
    instanceOf: DataError,
    message: /holds no images.*--recursive/,
  })
  const { pictures } = await findPictures([folder], { recursive: false, mayBeEmpty: true })
  t.is(pictures.length, 0)
})

test.serial('a folder within that may not be read is passed over', async (t) => {
  const folder = await temporaryFolder(t)
  await files(folder, ['a.jpg', 'sub/a.jpg'])
  await chmod(join(folder, 'sub'), 0)
  await bound(async () => {
    const { pictures, passedOver } = await findPictures([folder], { recursive: true })
    t.deepEqual(
      pictures.map(({ name }) => name),
      ['a.jpg'],
    )
    t.is(passedOver.length, 1)
    t.regex(passedOver[0]?.reason ?? '', /permission denied/)
    await t.throwsAsync(findPictures([join(folder, 'sub')], { recursive: true }), {
      message: /cannot be read: permission denied/,
    })
  })
  await chmod(join(folder, 'sub'), 0o755)
})
