/** Stems of the Snowball stemmer for English; over a million words were compared with its own program besides. */
import test from 'ava'
import { stem } from '../../../ts/evaluate/meteor/stem.js'

const CASES: Readonly<Record<string, string>> = {
  plurals:
    'dogs dog horses hors buses buse skis ski skies sky ties tie cries cri gas gas gaps gap this this kiwis kiwi boss boss grass grass bus bus',
  'past and -ing':
    'running run runs run jumped jump hopping hop hoping hope sized size filled fill falling fall tanned tan agreed agre feed feed playing play dying die lying lie bed bed sing sing luxuriated luxuri',
  'kept whole': 'news news inning inning herring herring herrings herring proceeding proceed',
  'y and Y': 'cry cri say say by by happy happi youth youth enjoying enjoy boyish boyish',
  endings:
    'happiness happi quickly quick gently gentl only onli relational relat conditional condit rationalize ration operator oper formality formal sensibility sensibl hopeful hope hopefully hope electrical electr triplicate triplic adjustable adjust replacement replac adoption adopt decision decis archaeology archaeolog',
  'final e and ll': 'sitting sit rate rate grape grape white white skill skill controll control',
  'prefixes that begin the region': 'generous generous general general communism communism',
  'apostrophes and short words': "dog's dog dogs' dog 'em em is is a a as as",
}

for (const [title, pairs] of Object.entries(CASES)) {
  test(title, (t) => {
    const words = pairs.split(' ')
    for (let i = 0; i < words.length; i += 2)
      t.is(stem(words[i] ?? ''), words[i + 1] ?? '', words[i] ?? '')
  })
}
