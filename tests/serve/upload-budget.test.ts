/** Bytes of uploads that may wait, over all requests. */
import test from 'ava'
import { uploadBudget } from '../../ts/serve/upload-budget.js'

test('what is over the limit is refused until others give back', (t) => {
  const share = uploadBudget(100)
  const [first, second] = [share(), share()]
  first.take(60)
  second.take(40)
  t.throws(() => second.take(1), { code: 'ERR_QUEUE_FULL', message: /wait already/ })
  first.release()
  first.release()
  second.take(60)
  t.throws(() => first.take(1), { code: 'ERR_QUEUE_FULL' })
})
