/** The page at /docs: the OpenAPI document as one list of routes. No script runs on it. */
import { type Html, html } from '../report/page.js'
import { style } from '../report/style.js'

/** What is read of an OpenAPI document. */
export interface OpenApi {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

interface Operation {
  readonly summary?: string
  readonly description?: string
  readonly parameters?: readonly (Field & { readonly name: string; readonly in: string })[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
  readonly responses?: Readonly<Record<string, { readonly description?: string }>>
}

interface Field {
  readonly description?: string
  readonly schema?: Schema
}

interface Schema extends Field {
  readonly type?: string
  readonly format?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
}

export const docsStyle = `${style}
section > h2 { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9rem; }
pre { padding: 0.8rem 1rem; overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
a { color: var(--first); }
`

/** Examples that can be pasted, by method and path. */
const examples: Readonly<Record<string, string>> = {
  'POST /caption': 'curl -F file=@photo.jpg -F beam=5 http://127.0.0.1:8012/caption',
  'POST /predict': `curl -H 'content-type: application/json' http://127.0.0.1:8012/predict \\
  -d "[{\\"image_captioning\\": \\"$(base64 -w0 photo.jpg)\\", \\"captions\\": \\"\\"}]"`,
  'POST /models/{id}/reload':
    "curl -X POST -H 'authorization: Bearer TOKEN' http://127.0.0.1:8012/models/first/reload",
}

export function docsPage({ info, paths }: OpenApi): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) =>
      section(`${method.toUpperCase()} ${path}`, operation),
    ),
  )
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${info.title} ${info.version}: HTTP</title>
<link rel="icon" type="image/svg+xml" href="page/icon.svg">
<link rel="stylesheet" href="docs/style.css">
</head>
<body>
<h1>${info.title} ${info.version}</h1>
<p>${info.description ?? ''}</p>
<p><a href="./">The page</a> · <a href="openapi.json">This as OpenAPI</a></p>
${operations}
</body>
</html>
`.markup
}

function section(name: string, operation: Operation): Html {
  const { summary = '', description, parameters = [], requestBody, responses = {} } = operation
  const example = examples[name]
  const bodies = Object.entries(requestBody?.content ?? {})
  const inBody = bodies.flatMap(([, { schema }]) => fieldsOf(schema))
  // An option may be a form field or a query parameter: it is told once.
  const inQuery = parameters.filter((one) => !inBody.some(([field]) => field === one.name))
  const rows: [name: string, place: string, field: Field][] = [
    ...inBody.map(([field, schema]): [string, string, Field] => [field, 'body', schema]),
    ...inQuery.map((one): [string, string, Field] => [one.name, one.in, one]),
  ]
  return html`<section>
<h2>${name}</h2>
<p><b>${summary}.</b> ${description ?? ''}</p>
${example !== undefined && html`<pre>${example}</pre>`}
${bodies.map(([type]) => html`<p class="soft">Body: ${type}</p>`)}
${rows.length > 0 && table(rows)}
<p class="soft">${Object.entries(responses)
    .map(([status, { description: what = '' }]) => `${status}: ${what}`)
    .join('. ')}</p>
</section>`
}

function table(rows: readonly [string, string, Field][]): Html {
  return html`<div class="scroll"><table>
<thead><tr><th>name</th><th>in</th><th>what</th></tr></thead>
<tbody>${rows.map(
    ([name, place, field]) =>
      html`<tr><th><code>${name}</code></th><td>${place}</td><td>${field.description ?? field.schema?.description ?? field.schema?.type ?? ''}</td></tr>`,
  )}</tbody>
</table></div>`
}

function fieldsOf(schema: Schema): [name: string, schema: Schema][] {
  return Object.entries((schema.items ?? schema).properties ?? {})
}
