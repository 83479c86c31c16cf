/**
 * One HTML file that stands alone: no request leaves it, only the scripts written into it run. Text becomes HTML here and
 * nowhere else; what is on the page is the business of its sections.
 */
import { createHash } from 'node:crypto'

/** HTML, as opposed to text that may hold anything. Made by `html`, so that a caption cannot pass for it. */
export interface Html {
  readonly markup: string
}

type Value = string | number | Html | readonly Html[] | undefined | false

/** HTML with every value escaped but those that are HTML; lists are joined, undefined and false are nothing. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  return { markup: parts.map((part, i) => part + markupOf(values[i])).join('') }
}

function markupOf(value: Value): string {
  if (value === undefined || value === false) return ''
  if (typeof value !== 'object') return escapeText(String(value))
  return 'markup' in value ? value.markup : value.map(({ markup }) => markup).join('\n')
}

// Escaped for text and for attributes in double quotes. Control characters and lone surrogates have no place in a page.
function escapeText(text: string): string {
  return text
    .replace(/(?![\t\n\r])[\p{Cc}\p{Cs}]/gu, '\ufffd')
    .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

export interface Page {
  readonly title: string
  readonly styles: readonly string[]
  readonly body: Html
  /** JavaScript, run in order at the end of the body. */
  readonly scripts: readonly string[]
  /** What the scripts find as the JSON text of the element `id`. */
  readonly data?: { readonly id: string; readonly value: unknown }
}

/** The file's text. Its policy lets nothing be loaded, and no script run but `scripts`, each named by its hash. */
export function renderPage({ title, styles, body, scripts, data }: Page): string {
  const hashes = scripts.map(
    (script) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  )
  const policy = [
    "default-src 'none'",
    'img-src data:',
    "style-src 'unsafe-inline'",
    `script-src ${hashes.join(' ') || "'none'"}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>
${{ markup: styles.join('\n') }}
</style>
</head>
<body>
${body}
${data && { markup: `<script type="application/json" id="${data.id}">${jsonText(data.value)}</script>` }}
${scripts.map((script) => ({ markup: `<script>${script}</script>` }))}
</body>
</html>
`.markup
}

/** A value as JSON that is safe inside a script element. */
function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(/[<\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** A table of names and values, or nothing when there are none. */
export function factTable(rows: readonly (readonly [name: string, value: string])[]): Html {
  if (rows.length === 0) return html``
  return html`<table class="facts">${rows.map(
    ([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`,
  )}</table>`
}
