/** Caption tokens, form by form, as the Stanford tokenizer with coco-caption's filter gives them. */

import test from 'ava'
import { tokenizeCaption } from '../../ts/evaluate/ptb.js'

const CASES: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'plain words and sentence punctuation': [
    ['A black dog runs , then jumps .', 'a black dog runs then jumps'],
    ['Two dogs; one cat: all asleep!', 'two dogs one cat all asleep'],
    ['Is it red? Yes.', 'is it red yes'],
    ['  spaced\tout\nlines ', 'spaced out lines'],
    ['', ''],
    [' . ', ''],
  ],
  'contractions and possessives': [
    ["It's the man's hat", "it 's the man 's hat"],
    ['it’s the dog’s', "it 's the dog 's"],
    ["he doesn't, can't and won't", "he does n't ca n't and wo n't"],
    ["they've we'll I'm she'd you're", "they 've we 'll i 'm she 'd you 're"],
    ["the dogs' toys", 'the dogs toys'],
    ["a dog 's toy , n't", "a dog 's toy n't"],
    ['I cannot say', 'i can not say'],
    ['gonna wanna gotta', 'gon na wan na got ta'],
    ["'tis the 50's", "'t is the 50 's"],
  ],
  'apostrophes inside words': [
    ["o'clock O'Brien's y'all", "o'clock o'brien 's y' all"],
    ["rock 'n' roll with 'em", "rock 'n' roll with 'em"],
    ["the '90s", "the '90s"],
    ["a 'slide to the left", 'a slide to the left'],
    ["a bird 's-eye-view", "a bird 's eye-view"],
  ],
  quotes: [
    ['a sign saying "stop"', 'a sign saying stop'],
    ['a sign saying “stop” or ‘go’', 'a sign saying stop or go'],
    ["a sign saying ''stop'' and `go`", 'a sign saying stop and go'],
  ],
  'hyphens, dashes and dots': [
    ['a 10-year-old in a T-shirt', 'a 10-year-old in a t-shirt'],
    ['a dog - a cat -- a cow --- a hen', 'a dog a cat a cow a hen'],
    ['a dog – a cat—a cow', 'a dog a cat a cow'],
    ['five -----', 'five -----'],
    ['wait... for . . . it…', 'wait for it'],
  ],
  'brackets stay, because they are lower case when the filter looks for upper case': [
    ['a man (left) [right] {top}', 'a man -lrb- left -rrb- -lsb- right -rsb- -lcb- top -rcb-'],
  ],
  'runs of marks, and symbols, stay': [
    ['wow!!! what??? no?!', 'wow !!! what ??? no ?!'],
    ['$5 & 10% # 1 @ £2', '$ 5 & 10 % # 1 @ # 2'],
    ['number #25 for #fun', 'number # 25 for #fun'],
    ['AT&T, at&t, salt &amp; pepper', 'at&t at & t salt & pepper'],
    ['a <unk> dog', 'a <unk> dog'],
    ['* /', '\\* \\/'],
  ],
  'numbers, dates, slashes': [
    ['1,000 at 5:30 for 3.5', '1,000 at 5:30 for 3.5'],
    ['a 4x4 and an mp3 on the 3rd', 'a 4x4 and an mp3 on the 3rd'],
    ['1/2 or ½ black/white w/ 9/11/2001', '1\\/2 or 1\\/2 black\\/white w \\/ 9\\/11\\/2001'],
  ],
  'periods that belong to the word': [
    ['Mr. Smith on 11th St.', 'mr. smith on 11th st.'],
    ['at 5 p.m. in the U.S. with plan B.', 'at 5 p.m. in the u.s. with plan b.'],
    ['ready to bat., she waits', 'ready to bat. she waits'],
    ['No. 5 says no.', 'no. 5 says no'],
    ['on grass.The dog', 'on grass.the dog'],
  ],
  'letters beyond ASCII; what the tokenizer does not know is dropped': [
    ['a naïve CAFÉ in Łódź', 'a naïve café in łódź'],
    ['a dog 😀 runs \u200b fast', 'a dog runs fast'],
  ],
}

for (const [title, cases] of Object.entries(CASES)) {
  test(title, (t) => {
    for (const [text, tokens] of cases) t.is(tokenizeCaption(text).join(' '), tokens, text)
  })
}
