// KafkaJS against one broker.
'use strict'
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, logLevel } = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32.js')
const { ZstdCodec } = require('zstd-codec')
const { runChecks } = require('../lib/checks.js')

// lz4js does not set the flag "blocks are independent", which Kafka demands; a frame of one block always has it.
function independent (frame) {
  frame[4] |= 0x20
  frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff
  return frame
}

// KafkaJS brings gzip only and asks for the others as plug-ins.
CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => independent(Buffer.from(lz4.compress(encoder.buffer))),
  decompress: async buffer => Buffer.from(lz4.decompress(buffer))
})
const zstd = new Promise(resolve => ZstdCodec.run(found => resolve(new found.Simple())))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async buffer => Buffer.from((await zstd).decompress(buffer))
})

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD
}

runChecks('kafkajs', async bootstrap => {
  const kafka = new Kafka({ brokers: [bootstrap], clientId: 'interop', logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  const resource = topic => ({ type: ConfigResourceTypes.TOPIC, name: topic })
  return {
    hasStatic: false,
    hasCooperative: false,
    brokers: async () => (await admin.describeCluster()).brokers.length,
    topics: () => admin.listTopics(),
    createTopic: (topic, numPartitions, configs) => admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic, numPartitions, configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) }]
    }),
    partitions: async topic => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length,
    config: async (topic, name) => {
      const { resources } = await admin.describeConfigs({ resources: [resource(topic)], includeSynonyms: false })
      return resources[0].configEntries.find(entry => entry.configName === name).configValue
    },
    alterConfig: (topic, name, value) =>
      admin.alterConfigs({ validateOnly: false, resources: [{ ...resource(topic), configEntries: [{ name, value }] }] }),
    createPartitions: (topic, count) => admin.createPartitions({ topicPartitions: [{ topic, count }] }),
    deleteTopic: topic => admin.deleteTopics({ topics: [topic] }),

    produce: async (topic, messages, { codec = 'none', idempotent = false, batches = false } = {}) => {
      const producer = kafka.producer({ idempotent, maxInFlightRequests: idempotent ? 1 : null })
      await producer.connect()
      for (const batch of batches ? messages : [messages]) {
        await producer.send({ topic, acks: -1, compression: CODECS[codec], messages: batch })
      }
      await producer.disconnect()
    },

    // A member of a group; `assigned()` is its set of partitions, `leave()` ends it.
    join: async (topic, groupId, { each }) => {
      const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 300, maxWaitTimeInMs: 50 })
      let assigned = new Set()
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        assigned = new Set(payload.memberAssignment[topic] || [])
      })
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => each({ ...message, partition, offset: Number(message.offset) })
      })
      return {
        assigned: () => assigned,
        commit: (partition, offset) => consumer.commitOffsets([{ topic, partition, offset: String(offset) }]),
        leave: () => consumer.disconnect()
      }
    },

    committed: async (groupId, topic) =>
      Number((await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions[0].offset),
    offsetAt: async (topic, stamp) => Number((await admin.fetchTopicOffsetsByTimestamp(topic, stamp))[0].offset),
    ends: async topic => {
      const [{ low, high }] = await admin.fetchTopicOffsets(topic)
      return [Number(low), Number(high)]
    },
    close: () => admin.disconnect()
  }
})
