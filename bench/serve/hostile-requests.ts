/** Requests made to hurt: forms, bodies and options that are not as they should be. Images are hostile-images.ts. */
import { gzipSync } from 'node:zlib'
import { type Call, uploadOf } from './http-client.js'

/** Calls by what is wrong with them. @param image a good one */
export function hostileRequests(image: Buffer): ReadonlyMap<string, Call> {
  const field = (name: string, value: string) =>
    `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const file = (name: string, content = image.toString('latin1')) =>
    `--x\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n${content}\r\n`
  const good = `${file('a.png')}--x--\r\n`
  const form = (body: string, type = 'multipart/form-data; boundary=x', more = {}): Call => ({
    method: 'POST',
    path: '/caption',
    headers: { 'content-type': type, ...more },
    body: Buffer.from(body, 'latin1'),
  })
  const json = (body: string | Buffer, more = {}): Call => ({
    method: 'POST',
    path: '/predict',
    headers: { 'content-type': 'application/json', ...more },
    body: Buffer.from(body),
  })
  const query = (words: string): Call => uploadOf('a.png', image, `/caption?${words}`)
  const sample = JSON.stringify([{ image_captioning: image.toString('base64'), captions: '' }])
  return new Map<string, Call>([
    ['another boundary', form(good.replaceAll('--x', '--y'))],
    ['no boundary', form(good, 'multipart/form-data')],
    [
      'a boundary of 5,000 letters',
      form(good, `multipart/form-data; boundary=${'x'.repeat(5000)}`),
    ],
    ['no end', form(good.slice(0, -9))],
    ['no parts', form('--x--\r\n')],
    ['nothing', form('')],
    ['a part without a name', form(`--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n${good}`)],
    ['a part without a head', form('--x\r\n\r\nabc\r\n--x--\r\n')],
    ['half a head', form('--x\r\nContent-Disp\r\n\r\nabc\r\n--x--\r\n')],
    ['5,000 heads of a part', form(`--x\r\n${'A: b\r\n'.repeat(5000)}\r\n1\r\n${good}`)],
    ['5,000 fields', form(`${field('beam', '2').repeat(5000)}${good}`)],
    ['5,000 files', form(`${file('a.png', 'a').repeat(5000)}--x--\r\n`)],
    ['17 files', form(`${file('a.png').repeat(17)}--x--\r\n`)],
    [
      'a form in a form',
      form(
        `--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\n1\r\n--y--\r\n${good}`,
      ),
    ],
    ['a field of a megabyte', form(`${field('prefix', 'a'.repeat(2 ** 20))}${good}`)],
    ['a name of 100,000 letters', form(`${file('a'.repeat(100_000))}--x--\r\n`)],
    ['a name with folders and zeros', form(`${file('../../etc/passwd\0.png')}--x--\r\n`)],
    ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'].flatMap(
      (name): [string, Call][] => [
        [`a field ${name}`, form(`${field(name, '1')}${good}`)],
        [`an option ${name}`, query(`${name}=1`)],
        [`a model ${name}`, query(`model=${name}`)],
      ],
    ),
    [
      'a gzip body',
      {
        ...form(''),
        headers: { 'content-type': 'multipart/form-data; boundary=x', 'content-encoding': 'gzip' },
        body: gzipSync(Buffer.from(good, 'latin1')),
      },
    ],
    [
      'a gzip JSON that unpacks to 100 MiB',
      json(gzipSync(Buffer.alloc(100 * 2 ** 20, ' ')), { 'content-encoding': 'gzip' }),
    ],
    ['a form that says JSON', form(good, 'application/json')],
    ['a form that says nothing', form(good, 'application/octet-stream')],
    ['a beam of 1e9', query('beam=1e9')],
    ['1e9 tokens', query('max_tokens=1000000000')],
    ['a temperature of -1', query('temperature=-1')],
    ['NaN', query('temperature=NaN')],
    ['a prefix of 9,000 words', form(`${field('prefix', 'a '.repeat(9000))}${good}`)],
    ['an address', query('url=http://169.254.169.254/')],
    ['a prefix that is no text', query('prefix=%ff%fe%00')],
    ['half an escape', query('prefix=%')],
    ['a path outwards', { path: '/page/..%2f..%2f..%2fetc/passwd' }],
    ['JSON: a prototype', json('[{"__proto__":{"a":1},"image_captioning":"","captions":""}]')],
    [
      'JSON: a constructor',
      json('[{"constructor":{"prototype":{"a":1}},"image_captioning":"","captions":""}]'),
    ],
    ['JSON: 10,000 deep', json('['.repeat(10_000))],
    ['JSON: 10,000 deep and whole', json('['.repeat(10_000) + ']'.repeat(10_000))],
    ['JSON: no JSON', json('{')],
    ['JSON: an object', json('{}')],
    ['JSON: numbers', json('[1, 2]')],
    ['JSON: no base64', json(sample.replace(/":"[^"]{8}/, '":"!!!!\\u0000'))],
    ['JSON: 65 images', json(JSON.stringify(Array(65).fill(JSON.parse(sample)[0])))],
    ['JSON: 17 MiB', json(`[${' '.repeat(17 * 2 ** 20)}]`)],
    ['a reload without a token', { method: 'POST', path: '/models/checked/reload' }],
  ])
}
