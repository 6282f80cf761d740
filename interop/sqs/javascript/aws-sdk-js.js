// The AWS SDK for JavaScript v3. It checks the digests of what it receives by itself.
'use strict'
const { sdk, call, name, queue, receive, attributesOf, bodies, sleep, expect, refused, check } = require('./run.js')

async function queues () {
  const url = await queue('made', { VisibilityTimeout: '7' })
  expect((await call.GetQueueUrl({ QueueName: name('made') })).QueueUrl, url, 'GetQueueUrl')
  expect(await queue('made', { VisibilityTimeout: '7' }), url, 'made again')
  const listed = await call.ListQueues({ QueueNamePrefix: name('made') })
  expect(listed.QueueUrls, [url], 'ListQueues')
  const had = await attributesOf(url)
  expect([had.VisibilityTimeout, had.MessageRetentionPeriod], ['7', '345600'], 'attributes')
  expect(had.QueueArn.split(':').pop(), name('made'), 'ARN')
  await call.SetQueueAttributes({ QueueUrl: url, Attributes: { VisibilityTimeout: '9' } })
  expect((await attributesOf(url)).VisibilityTimeout, '9', 'changed')
  await call.DeleteQueue({ QueueUrl: url })
  expect((await call.ListQueues({ QueueNamePrefix: name('made') })).QueueUrls ?? [], [], 'deleted')
}

async function roundTrip () {
  const url = await queue('round')
  const attributes = {
    colour: { DataType: 'String', StringValue: 'reddish ✓' },
    count: { DataType: 'Number', StringValue: '12.5' },
    raw: { DataType: 'Binary.png', BinaryValue: new Uint8Array([0, 1, 255]) }
  }
  const sent = await call.SendMessage({
    QueueUrl: url,
    MessageBody: 'hello <&> ünï',
    MessageAttributes: attributes,
    MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1-5-6' } }
  })
  const [got] = await receive(url, { MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'] })
  expect([got.MessageId, got.Body], [sent.MessageId, 'hello <&> ünï'], 'message')
  expect(Object.keys(got.MessageAttributes).sort(), ['colour', 'count', 'raw'], 'attribute names')
  const { colour, count, raw } = got.MessageAttributes
  expect([colour.StringValue, count.DataType, count.StringValue], ['reddish ✓', 'Number', '12.5'], 'attributes')
  expect([raw.DataType, ...raw.BinaryValue], ['Binary.png', 0, 1, 255], 'binary attribute')
  expect(sent.MD5OfMessageAttributes, got.MD5OfMessageAttributes, 'digest of the attributes')
  expect([got.Attributes.ApproximateReceiveCount, got.Attributes.AWSTraceHeader], ['1', 'Root=1-5-6'], 'system')
  expect(await receive(url), [], 'while it is hidden')
  expect((await attributesOf(url)).ApproximateNumberOfMessagesNotVisible, '1', 'in flight')
  await call.DeleteMessage({ QueueUrl: url, ReceiptHandle: got.ReceiptHandle })
  const counts = await attributesOf(url)
  expect([counts.ApproximateNumberOfMessages, counts.ApproximateNumberOfMessagesNotVisible], ['0', '0'], 'counts')
}

async function batches () {
  const url = await queue('batch')
  const numbers = [...Array(10).keys()]
  const sent = await call.SendMessageBatch({
    QueueUrl: url, Entries: numbers.map(n => ({ Id: `n${n}`, MessageBody: `body ${n}` }))
  })
  expect(sent.Successful.length, 10, 'sent')
  const got = await receive(url)
  expect(bodies(got), numbers.map(n => `body ${n}`), 'bodies')
  const entries = got.map((message, n) => ({ Id: String(n), ReceiptHandle: message.ReceiptHandle }))
  const longer = await call.ChangeMessageVisibilityBatch({
    QueueUrl: url, Entries: entries.map(entry => ({ ...entry, VisibilityTimeout: 60 }))
  })
  expect(longer.Successful.length, 10, 'hidden for longer')
  entries[3].ReceiptHandle = 'nonsense'
  const gone = await call.DeleteMessageBatch({ QueueUrl: url, Entries: entries })
  expect(gone.Successful.length, 9, 'deleted')
  expect(gone.Failed.map(one => [one.Id, one.Code]), [['3', 'ReceiptHandleIsInvalid']], 'refused')
}

async function limits () {
  const url = await queue('limits')
  const body = 'é'.repeat(512 * 1024)
  await call.SendMessage({ QueueUrl: url, MessageBody: body })
  expect((await receive(url))[0].Body === body, true, 'a megabyte')
  await refused(sdk.SQSServiceException, call.SendMessage({ QueueUrl: url, MessageBody: body + 'x' }))
  await refused(sdk.InvalidMessageContents, call.SendMessage({ QueueUrl: url, MessageBody: '\u0001' }))
}

async function visibility () {
  const url = await queue('hidden', { VisibilityTimeout: '1' })
  await call.SendMessage({ QueueUrl: url, MessageBody: 'm' })
  const [first] = await receive(url)
  expect(await receive(url), [], 'hidden')
  const [again] = await receive(url, { WaitTimeSeconds: 5, MessageSystemAttributeNames: ['ApproximateReceiveCount'] })
  expect([again.Body, again.Attributes.ApproximateReceiveCount], ['m', '2'], 'visible again')
  const change = (message, VisibilityTimeout) => call.ChangeMessageVisibility({
    QueueUrl: url, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout
  })
  await refused(sdk.MessageNotInflight, change(first, 5))
  await change(again, 30)
  expect(await receive(url, { WaitTimeSeconds: 2 }), [], 'hidden for longer')
  await change(again, 0)
  expect(bodies(await receive(url)), ['m'], 'shown at once')
}

async function longPolls () {
  const url = await queue('poll')
  const waiting = receive(url, { WaitTimeSeconds: 20 }).then(got => [bodies(got), Date.now()])
  await sleep(500) // so that it waits; if it came later, it would find the message
  const sent = Date.now()
  await call.SendMessage({ QueueUrl: url, MessageBody: 'm' })
  const [got, at] = await waiting
  expect(got, ['m'], 'what came')
  expect(at - sent < 5000, true, 'woken at once')
}

async function delays () {
  const url = await queue('delay')
  await call.SendMessage({ QueueUrl: url, MessageBody: 'later', DelaySeconds: 2 })
  expect(await receive(url), [], 'not yet')
  expect((await attributesOf(url)).ApproximateNumberOfMessagesDelayed, '1', 'delayed')
  expect(bodies(await receive(url, { WaitTimeSeconds: 10 })), ['later'], 'after the delay')
}

async function fifo () {
  const url = await queue('order', { FifoQueue: 'true' }, '.fifo')
  const send = (group, n) => call.SendMessage({
    QueueUrl: url, MessageBody: `${group}${n}`, MessageGroupId: group, MessageDeduplicationId: `${group}${n}`
  })
  for (let n = 0; n < 5; n++) for (const group of 'ab') await send(group, n)
  const [one, two] = [await send('b', 4), await send('b', 4)]
  expect([one.MessageId, one.SequenceNumber], [two.MessageId, two.SequenceNumber], "a duplicate's identity")
  const got = { a: [], b: [] }
  const take = async message => {
    got[message.Body[0]].push(message.Body)
    await call.DeleteMessage({ QueueUrl: url, ReceiptHandle: message.ReceiptHandle })
  }
  const [first] = await receive(url, { MaxNumberOfMessages: 1 })
  const others = await receive(url, { MessageSystemAttributeNames: ['MessageGroupId'] })
  expect([...new Set(others.map(m => m.Attributes.MessageGroupId))], [first.Body[0] === 'a' ? 'b' : 'a'], 'free groups')
  await take(first)
  for (let some = others; some.length > 0; some = await receive(url)) for (const message of some) await take(message)
  for (const group of 'ab') expect(got[group], [0, 1, 2, 3, 4].map(n => `${group}${n}`), `group ${group}`)
}

async function deadLetters () {
  const dead = await queue('dead')
  const { QueueArn: deadLetterTargetArn } = await attributesOf(dead)
  const policy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 2 })
  const url = await queue('failing', { VisibilityTimeout: '0', RedrivePolicy: policy })
  const sent = await call.SendMessage({ QueueUrl: url, MessageBody: 'poison' })
  for (let n = 0; n < 2; n++) expect(bodies(await receive(url, { WaitTimeSeconds: 2 })), ['poison'], 'a try')
  expect(await receive(url), [], 'moved')
  const [got] = await receive(dead, { WaitTimeSeconds: 5, VisibilityTimeout: 0 })
  expect(got.MessageId, sent.MessageId, 'id')
  expect((await call.ListDeadLetterSourceQueues({ QueueUrl: dead })).queueUrls, [url], 'sources')
  await call.StartMessageMoveTask({ SourceArn: deadLetterTargetArn })
  const [back] = await receive(url, { WaitTimeSeconds: 10 })
  expect(back?.Body, 'poison', 'moved back')
}

async function purge () {
  const url = await queue('purge')
  await call.SendMessage({ QueueUrl: url, MessageBody: 'm' })
  await call.PurgeQueue({ QueueUrl: url })
  expect(await receive(url), [], 'purged')
  await refused(sdk.PurgeQueueInProgress, call.PurgeQueue({ QueueUrl: url }))
}

async function tags () {
  const url = await queue('tags')
  await call.TagQueue({ QueueUrl: url, Tags: { team: 'a', cost: 'b' } })
  await call.UntagQueue({ QueueUrl: url, TagKeys: ['cost'] })
  expect((await call.ListQueueTags({ QueueUrl: url })).Tags, { team: 'a' }, 'tags')
}

async function errors () {
  const url = await queue('errors')
  const gone = url + '-gone'
  await refused(sdk.QueueDoesNotExist, call.GetQueueUrl({ QueueName: name('gone') }))
  await refused(sdk.QueueDoesNotExist, call.SendMessage({ QueueUrl: gone, MessageBody: 'x' }))
  await refused(sdk.QueueDoesNotExist, call.ReceiveMessage({ QueueUrl: gone }))
  await refused(sdk.QueueNameExists, queue('errors', { VisibilityTimeout: '8' }))
  await refused(sdk.InvalidAttributeName, call.SetQueueAttributes({ QueueUrl: url, Attributes: { Colour: 'red' } }))
  const long = { QueueUrl: url, Attributes: { VisibilityTimeout: '43201' } }
  await refused(sdk.InvalidAttributeValue, call.SetQueueAttributes(long))
  await refused(sdk.ReceiptHandleIsInvalid, call.DeleteMessage({ QueueUrl: url, ReceiptHandle: 'nonsense' }))
  const send = Entries => call.SendMessageBatch({ QueueUrl: url, Entries })
  const entries = [...Array(11).keys()].map(n => ({ Id: String(n), MessageBody: 'x' }))
  await refused(sdk.EmptyBatchRequest, send([]))
  await refused(sdk.TooManyEntriesInBatchRequest, send(entries))
  await refused(sdk.BatchEntryIdsNotDistinct, send([entries[0], entries[0]]))
  await refused(sdk.InvalidBatchEntryId, send([{ Id: 'no id!', MessageBody: 'x' }]))
  await refused(sdk.ResourceNotFoundException, call.ListMessageMoveTasks({ SourceArn: 'arn:aws:sqs:us-east-1:000000000000:gone' }))
}

// At the same time: most of it is waiting.
Promise.all([
  check('queues', queues), check('round_trip', roundTrip), check('batches', batches), check('limits', limits),
  check('visibility', visibility), check('long_polls', longPolls), check('delays', delays), check('fifo', fifo),
  check('dead_letters', deadLetters), check('purge', purge), check('tags', tags), check('errors', errors)
])
