/** Which images of HTML lack alt text, and that an edit changes nothing but the place that it names. */
import test from 'ava'
import { htmlImages } from '../../ts/alt/html-images.js'

/** The state of the only image. */
const stateOf = (html: string) => {
  const { images } = htmlImages(html)
  return images.length === 1 ? images[0]?.state : `${images.length} images`
}
/** The text with "ALT" wherever alt text is missing. */
function withAlts(text: string): string {
  const { images } = htmlImages(text)
  return images
    .filter(({ state }) => state === 'missing')
    .reverse()
    .reduce(
      (result, { start, end, altMarkup }) =>
        result.slice(0, start) + altMarkup('ALT') + result.slice(end),
      text,
    )
}

test('what counts as missing, present, decorative, and as a template', (t) => {
  const states = {
    '<img src=a.png>': 'missing',
    '<img src=a.png title=x>': 'missing',
    '<figure><img src=a.png><figcaption>x</figcaption></figure>': 'missing',
    '<noscript><img src=a.png></noscript>': 'missing',
    '<template><img src=a.png></template>': 'missing',
    '<picture><source srcset=b.webp><img src=a.png></picture>': 'missing',
    '<img src=a.png alt=dog>': 'present',
    '<img src=a.png alt=" ">': 'present',
    '<img src=a.png aria-label=dog>': 'present',
    '<img src=a.png :alt="name">': 'present',
    '<img src=a.png [alt]="name">': 'present',
    '<img src=a.png ALT="{{ name }}">': 'present',
    '<img src=a.png alt="">': 'decorative',
    '<img src=a.png alt>': 'decorative',
    '<img src=a.png role=presentation>': 'decorative',
    '<img src=a.png role="none">': 'decorative',
    '<img src=a.png aria-hidden=true>': 'decorative',
    '<div aria-hidden="true"><p><img src=a.png></div>': 'decorative',
    '<img src=a.png width=1 height=1>': 'decorative',
    '<img src="{{ url }}">': 'template',
    '<img {% if x %}alt="y"{% endif %} src=a.png>': 'template',
    '<img src="<?php echo $x ?>">': 'template',
    '<img src={url}>': 'template',
    '<!-- <img src=a.png> -->': '0 images',
    '<script>x = "<img src=a.png>"</script>': '0 images',
    '<textarea><img src=a.png></textarea>': '0 images',
    '<svg><image href=a.png /></svg>': '0 images',
    '<?php if ($a > 1) echo "<img src=a.png>" ?>': '0 images',
  }
  for (const [html, state] of Object.entries(states)) t.is(stateOf(html), state, html)
})

test('addresses: references resolved, lazy ones found, the base told', (t) => {
  const html = '<base href="sub/"><img src="a&amp;b.png"><img data-src=l.png src="data:x"><img>'
  const { images, base } = htmlImages(html)
  t.is(base, 'sub/')
  t.deepEqual(
    images.map(({ src }) => src),
    ['a&b.png', 'l.png', undefined],
  )
})

test('the alt text comes behind the address; every other character stays', (t) => {
  const pairs = {
    '<img src="a.png">': '<img src="a.png" alt="ALT">',
    "<IMG\r\n  SRC='a.png'\r\n  class=x\r\n/>":
      '<IMG\r\n  SRC=\'a.png\' alt="ALT"\r\n  class=x\r\n/>',
    '<img src=a.png>': '<img src=a.png alt="ALT">',
    '<img class=x src=a.png >': '<img class=x src=a.png alt="ALT" >',
    '<img>': '<img alt="ALT">',
    '<p>a</div>\ufeff😀<table><img src=a.png>é':
      '<p>a</div>\ufeff😀<table><img src=a.png alt="ALT">é',
  }
  for (const [before, after] of Object.entries(pairs)) t.is(withAlts(before), after)
  const page =
    '\ufeff<!DOCTYPE html PUBLIC "x">\r\n<html>\r<body bgcolor=red\n>{{ "<img src=b.png>" }}\t\r\n' +
    '<table><tr><td><img src=a.png\n></table>\0<p><img src="c.png"/></html>trailing'
  t.is(withAlts(page).replaceAll(' alt="ALT"', ''), page)
  t.is(withAlts(page).split(' alt="ALT"').length, 3)
})

test('lines and columns count from 1', (t) => {
  const [found] = htmlImages('<p>\r\n  <img src=a.png>').images
  t.is(found?.line, 2)
  t.is(found?.column, 3)
})

test('quotes and brackets of an alt text are escaped', (t) => {
  const [found] = htmlImages('<img src=a.png>').images
  t.is(found?.altMarkup('a "b" <c> & d'), ' alt="a &quot;b&quot; &lt;c&gt; &amp; d"')
})
