// The checks of the two Node clients, over a small adapter that each of them brings. See the adapters' files for
// what `produce`, `join` and the rest return.
'use strict'
const { randomBytes } = require('node:crypto')
const assert = require('node:assert')

const PARTITIONS = 4
const RECORDS = 100
const LARGE = 1024 * 1024
const WAIT_MS = 25000

class NotApplicable extends Error {}

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

async function waitFor (condition, what, waitMs = WAIT_MS) {
  const deadline = Date.now() + waitMs
  while (Date.now() < deadline) {
    const result = await condition()
    if (result) return result
    await sleep(20)
  }
  throw new Error(`gave up after ${waitMs} ms waiting for: ${what}`)
}

const text = value => (value === null || value === undefined ? null : value.toString())

async function runChecks (client, makeAdapter) {
  const [bootstrap, runId] = process.argv.slice(2)
  if (!runId) {
    console.error(`usage: ${process.argv[1]} BOOTSTRAP RUN_ID`)
    process.exit(2)
  }
  const name = what => `${client}-${what}-${runId}`
  const adapter = await makeAdapter(bootstrap)

  async function check (title, body) {
    const started = Date.now()
    try {
      await body()
      console.log(`CHECK ${title} ok ${((Date.now() - started) / 1000).toFixed(1)} s`)
    } catch (error) {
      if (error instanceof NotApplicable) {
        console.log(`CHECK ${title} n/a ${error.message}`)
        return
      }
      console.error(error)
      console.log(`CHECK ${title} FAIL ${String(error).replace(/\s+/g, ' ').slice(0, 300)}`)
    }
  }

  async function create (what, partitions = 1, configs = {}) {
    const topic = name(what)
    await adapter.createTopic(topic, partitions, configs)
    return topic
  }

  // Reads `count` records of a topic with a group of its own, sorted by partition and offset.
  async function readAll (topic, count) {
    const records = []
    const member = await adapter.join(topic, `${topic}-reader`, { each: record => records.push(record) })
    await waitFor(() => records.length >= count, `${count} records`)
    await member.leave()
    assert.strictEqual(records.length, count, 'records')
    return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  }

  const values = (topic, records) => adapter.produce(topic, records.map(value => ({ value, partition: 0 })))

  async function rebalance (what, options = {}) {
    const topic = await create(what, PARTITIONS)
    const members = await Promise.all([0, 1].map(n =>
      adapter.join(topic, name(what), { ...options, instance: options.static ? `i${n}` : undefined, each: () => {} })))
    const held = () => members.map(member => member.assigned())
    await waitFor(() => held().every(parts => parts.size > 0) &&
      held().reduce((sum, parts) => sum + parts.size, 0) === PARTITIONS, 'both members hold partitions')
    await members[1].leave()
    await waitFor(() => members[0].assigned().size === PARTITIONS, 'the remaining member holds every partition')
    await members[0].leave()
  }

  await check('connect', async () => assert.strictEqual(await adapter.brokers(), 1, 'brokers'))

  await check('produce-consume', async () => {
    const topic = await create('produce', PARTITIONS)
    const now = Date.now()
    const sent = Array.from({ length: RECORDS }, (_, i) => ({
      key: `k${i}`, value: `v${i}`, partition: i % PARTITIONS, timestamp: String(now + i), headers: { n: String(i) }
    }))
    // Copies: some clients change what they are handed.
    await adapter.produce(topic, sent.map(record => ({ ...record, headers: { ...record.headers } })))
    const records = await readAll(topic, RECORDS)
    records.forEach((record, n) => {
      const perPartition = RECORDS / PARTITIONS
      assert.strictEqual(record.offset, n % perPartition, 'offset')
      const wanted = sent[(n % perPartition) * PARTITIONS + record.partition]
      const { key, value, timestamp, headers } = record
      assert.deepStrictEqual([text(key), text(value), timestamp, text(headers.n)],
        [wanted.key, wanted.value, wanted.timestamp, wanted.headers.n])
    })
  })

  await check('group-consume', async () => {
    const topic = await create('group')
    const group = name('group')
    await values(topic, Array.from({ length: RECORDS }, (_, i) => `v${i}`))
    const seen = []
    const first = await adapter.join(topic, group, { each: record => seen.push(record) })
    await waitFor(() => seen.length >= 40, '40 records')
    await first.commit(0, 40)
    await first.leave()
    assert.strictEqual(await adapter.committed(group, topic), 40, 'committed')
    const rest = []
    const second = await adapter.join(topic, group, { each: record => rest.push(record) })
    await waitFor(() => rest.length >= RECORDS - 40, 'the rest')
    await second.commit(0, RECORDS)
    await second.leave()
    assert.deepStrictEqual(rest.map(record => record.offset), Array.from({ length: RECORDS - 40 }, (_, i) => i + 40))
    assert.strictEqual(await adapter.committed(group, topic), RECORDS, 'committed at the end')
  })

  await check('rebalance', () => rebalance('rebalance'))

  await check('admin', async () => {
    const topic = await create('admin', 2, { 'retention.ms': '3600000' })
    await waitFor(async () => await adapter.partitions(topic) === 2, 'two partitions', 5000)
    if (adapter.config) {
      assert.strictEqual(await adapter.config(topic, 'retention.ms'), '3600000', 'retention.ms as created')
      await adapter.alterConfig(topic, 'retention.ms', '7200000')
      await waitFor(async () => await adapter.config(topic, 'retention.ms') === '7200000', 'retention.ms as altered', 5000)
      await adapter.createPartitions(topic, 4)
      await waitFor(async () => await adapter.partitions(topic) === 4, 'four partitions', 5000)
    }
    await adapter.deleteTopic(topic)
    await waitFor(async () => !(await adapter.topics()).includes(topic), "the topic's end", 5000)
  })

  await check('idempotence', async () => {
    const topic = await create('idempotence')
    const wanted = Array.from({ length: 500 }, (_, i) => `v${i}`)
    const messages = wanted.map(value => ({ value, partition: 0 }))
    const batches = Array.from({ length: 10 }, (_, n) => messages.slice(n * 50, n * 50 + 50))
    await adapter.produce(topic, batches, { idempotent: true, batches: true })
    assert.deepStrictEqual((await readAll(topic, 500)).map(record => text(record.value)), wanted)
  })

  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    await check(`compression-${codec}`, async () => {
      const topic = await create(`compression-${codec}`)
      const wanted = Array.from({ length: RECORDS }, (_, i) => `value ${i} `.repeat(100))
      await adapter.produce(topic, wanted.map(value => ({ value, partition: 0 })), { codec })
      assert.deepStrictEqual((await readAll(topic, RECORDS)).map(record => text(record.value)), wanted)
    })
  }

  await check('headers', async () => {
    const topic = await create('headers')
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    await adapter.produce(topic, [{ value: 'v', partition: 0, headers: { a: ['1', '2'], empty: '', bytes } }])
    const { headers } = (await readAll(topic, 1))[0]
    assert.deepStrictEqual([headers.a.map(text), text(headers.empty)], [['1', '2'], ''])
    assert.ok(bytes.equals(headers.bytes), 'bytes')
  })

  await check('create-time', async () => {
    const topic = await create('timestamps', 1, { 'retention.ms': '-1' })
    const stamps = [0, 1, 2, 3, 4].map(i => String(1000000 + i))
    await adapter.produce(topic, stamps.map(timestamp => ({ value: 'v', partition: 0, timestamp })))
    assert.deepStrictEqual((await readAll(topic, 5)).map(record => record.timestamp), stamps)
  })

  await check('append-time', async () => {
    const topic = await create('append-time', 1, { 'message.timestamp.type': 'LogAppendTime' })
    const before = Date.now()
    await adapter.produce(topic, [{ value: 'v', partition: 0, timestamp: '1000000' }])
    const stamp = Number((await readAll(topic, 1))[0].timestamp)
    assert.ok(before - 1000 <= stamp && stamp <= before + 30000, `append time ${stamp} near ${before}`)
  })

  await check('large-value', async () => {
    const topic = await create('large', 1, { 'max.message.bytes': String(2 * LARGE) })
    const value = randomBytes(LARGE)
    await adapter.produce(topic, [{ value, partition: 0 }])
    assert.ok(value.equals((await readAll(topic, 1))[0].value), 'the large value')
  })

  await check('empty-null-values', async () => {
    const topic = await create('empty')
    const sent = [{ key: 'k', value: '' }, { key: 'k', value: null }, { key: null, value: 'v' }]
    await adapter.produce(topic, sent.map(record => ({ ...record, partition: 0 })))
    const found = (await readAll(topic, 3)).map(({ key, value }) => ({ key: text(key), value: text(value) }))
    assert.deepStrictEqual(found, adapter.sendsEmptyAsNull ? [{ key: 'k', value: null }, ...sent.slice(1)] : sent)
  })

  await check('offsets-for-times', async () => {
    const topic = await create('times', 1, { 'retention.ms': '-1' })
    const stamps = Array.from({ length: 10 }, (_, i) => String(1000 * (i + 1)))
    await adapter.produce(topic, stamps.map(timestamp => ({ value: 'v', partition: 0, timestamp })))
    assert.strictEqual(await adapter.offsetAt(topic, 4500), 4, 'first offset at or after 4500 ms')
    assert.deepStrictEqual(await adapter.ends(topic), [0, 10], 'ends')
  })

  await check('static-membership', async () => {
    if (!adapter.hasStatic) throw new NotApplicable(`${client} has no group.instance.id`)
    const topic = await create('static', PARTITIONS)
    const join = n => adapter.join(topic, name('static'), { instance: `i${n}`, each: () => {} })
    const members = await Promise.all([join(0), join(1)])
    const held = () => members.map(member => [...member.assigned()].sort().join())
    await waitFor(() => held().every(parts => parts !== '') && held()[0] !== held()[1], 'both members hold partitions')
    const before = held()
    await members[1].leave()
    members[1] = await join(1)
    await waitFor(() => held()[1] !== '', 'the returned member holds partitions', 10000)
    assert.deepStrictEqual(held(), before, 'partitions after the return')
    await Promise.all(members.map(member => member.leave()))
  })

  await check('cooperative-sticky', () => {
    if (!adapter.hasCooperative) throw new NotApplicable(`${client} has no cooperative assignor`)
    return rebalance('cooperative', { cooperative: true })
  })

  await adapter.close()
  process.exit(0)
}

module.exports = { runChecks }
