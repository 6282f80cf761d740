// The frame of both Node programs: the client, names of queues, the line that each check prints.
'use strict'
const { isDeepStrictEqual, inspect } = require('node:util')
const sdk = require('@aws-sdk/client-sqs')

const [endpoint, , runId] = process.argv.slice(2)
if (!runId) {
  console.error(`usage: ${process.argv[1]} ENDPOINT BOOTSTRAP RUN_ID`)
  process.exit(2)
}

// Retries would hide errors.
const sqs = new sdk.SQSClient({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'anybody', secretAccessKey: 'anything' },
  maxAttempts: 1
})

// `call.SendMessage({ … })` and so on for every action.
const call = new Proxy({}, {
  get: (_, action) => input => sqs.send(new sdk[`${action}Command`](input))
})

const client = require('node:path').basename(process.argv[1], '.js')
const name = what => `${client}-${what}-${runId}`

async function queue (what, attributes = {}, suffix = '') {
  const made = await call.CreateQueue({ QueueName: name(what) + suffix, Attributes: attributes })
  return made.QueueUrl
}

async function receive (QueueUrl, more = {}) {
  const answer = await call.ReceiveMessage({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 0, ...more })
  return answer.Messages ?? []
}

async function attributesOf (QueueUrl) {
  return (await call.GetQueueAttributes({ QueueUrl, AttributeNames: ['All'] })).Attributes
}

const bodies = messages => messages.map(message => message.Body)
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

function expect (actual, wanted, what) {
  if (!isDeepStrictEqual(actual, wanted)) {
    throw new Error(`${what}: got ${inspect(actual)}, wanted ${inspect(wanted)}`)
  }
}

// Fails unless the promise is refused with this class of error.
async function refused (kind, promise) {
  try {
    await promise
  } catch (error) {
    if (error instanceof kind) return
    throw new Error(`refused with ${error.name}, wanted ${kind.name}: ${error.message}`)
  }
  throw new Error(`not refused, wanted ${kind.name}`)
}

async function check (title, body) {
  const started = Date.now()
  try {
    await body()
    console.log(`CHECK ${title} ok ${((Date.now() - started) / 1000).toFixed(1)} s`)
  } catch (error) {
    console.error(error)
    console.log(`CHECK ${title} FAIL ${String(error).replace(/\s+/g, ' ').slice(0, 300)}`)
  }
}

module.exports = { sdk, sqs, call, name, queue, receive, attributesOf, bodies, sleep, expect, refused, check }
