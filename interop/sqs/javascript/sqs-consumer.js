// sqs-consumer, the framework that most Node programs receive with.
'use strict'
const { Consumer } = require('sqs-consumer')
const { sqs, call, queue, receive, attributesOf, bodies, sleep, expect, check } = require('./run.js')

// Resolves when `emitter` says `event`; fails after `ms`.
function once (emitter, event, ms = 20000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} within ${ms} ms`)), ms)
    emitter.once(event, value => { clearTimeout(timer); resolve(value) })
  })
}

function consumer (queueUrl, options) {
  const made = Consumer.create({ sqs, queueUrl, waitTimeSeconds: 20, suppressFifoWarning: true, ...options })
  made.on('error', error => console.error(error))
  return made
}

async function left (url) {
  const counts = await attributesOf(url)
  return [counts.ApproximateNumberOfMessages, counts.ApproximateNumberOfMessagesNotVisible]
}

async function consume () {
  const url = await queue('consume')
  const numbers = [...Array(10).keys()].map(String)
  await call.SendMessageBatch({ QueueUrl: url, Entries: numbers.map(n => ({ Id: n, MessageBody: n })) })
  const got = []
  const reader = consumer(url, {
    batchSize: 10,
    handleMessageBatch: async messages => { got.push(...bodies(messages)); return messages }
  })
  const done = once(reader, 'response_processed')
  reader.start()
  await done
  reader.stop({ abort: true })
  expect(got, numbers, 'messages')
  expect(await left(url), ['0', '0'], 'left in the queue')
}

async function failure () {
  const url = await queue('failure')
  const counts = []
  const reader = consumer(url, {
    messageSystemAttributeNames: ['ApproximateReceiveCount'],
    terminateVisibilityTimeout: true,
    handleMessage: async message => {
      counts.push(message.Attributes.ApproximateReceiveCount)
      if (counts.length === 1) throw new Error('on purpose')
      return message
    }
  })
  const [failed, processed] = [once(reader, 'processing_error'), once(reader, 'message_processed')]
  reader.start()
  await call.SendMessage({ QueueUrl: url, MessageBody: 'm' })
  expect(/on purpose/.test((await failed).message), true, 'the error')
  await processed
  reader.stop({ abort: true })
  expect(counts, ['1', '2'], 'receive counts')
  await sleep(100) // message_processed comes before the delete
  expect(await left(url), ['0', '0'], 'left in the queue')
}

async function heartbeat () {
  const url = await queue('heartbeat')
  let times = 0
  const reader = consumer(url, {
    visibilityTimeout: 2,
    heartbeatInterval: 1,
    handleMessage: async message => { times++; await sleep(5000); return message }
  })
  const done = once(reader, 'response_processed')
  reader.start()
  await call.SendMessage({ QueueUrl: url, MessageBody: 'slow' })
  await sleep(3500)
  expect(bodies(await receive(url)), [], 'hidden by heartbeats, longer than its two seconds')
  await done
  reader.stop({ abort: true })
  expect(times, 1, 'how often it was handled')
  expect(await left(url), ['0', '0'], 'left in the queue')
}

async function stop () {
  const url = await queue('stop')
  await call.SendMessage({ QueueUrl: url, MessageBody: 'm' })
  let handled = false
  const reader = consumer(url, {
    waitTimeSeconds: 1,
    pollingCompleteWaitTimeMs: 10000,
    handleMessage: async message => { await sleep(1000); handled = true; return message }
  })
  const received = once(reader, 'message_received')
  reader.start()
  await received
  const stopped = once(reader, 'stopped')
  reader.stop()
  await stopped
  expect(handled, true, 'the message in hand was finished')
  expect(await left(url), ['0', '0'], 'left in the queue')
  await call.SendMessage({ QueueUrl: url, MessageBody: 'after' })
  expect(bodies(await receive(url)), ['after'], 'what came after the stop')
}

Promise.all([
  check('consume', consume), check('failure', failure), check('heartbeat', heartbeat), check('stop', stop)
])
