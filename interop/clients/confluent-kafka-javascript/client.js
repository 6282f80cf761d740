// @confluentinc/kafka-javascript (librdkafka, with KafkaJS' names) against one broker.
'use strict'
const { Kafka, PartitionAssigners } = require('@confluentinc/kafka-javascript').KafkaJS
const { runChecks } = require('../lib/checks.js')

const quiet = { log_level: 0 }

runChecks('confluent-javascript', async bootstrap => {
  const kafka = new Kafka({ kafkaJS: { brokers: [bootstrap], clientId: 'interop', logLevel: 0 } })
  const admin = kafka.admin()
  await admin.connect()
  return {
    hasStatic: true,
    hasCooperative: true,
    // Its binding hands librdkafka no pointer for an empty buffer, which makes it a null value.
    sendsEmptyAsNull: true,
    // Its admin client cannot describe a cluster; that it connected is the check.
    brokers: async () => { await admin.listTopics(); return 1 },
    topics: () => admin.listTopics(),
    createTopic: async (topic, numPartitions, configs) => {
      await admin.createTopics({
        topics: [{ topic, numPartitions, configEntries: Object.entries(configs).map(([name, value]) => ({ name, value })) }]
      })
    },
    partitions: async topic => (await admin.fetchTopicMetadata({ topics: [topic] }))[0].partitions.length,
    // Its admin client has no calls for configurations or for more partitions.
    config: null,
    deleteTopic: topic => admin.deleteTopics({ topics: [topic] }),

    produce: async (topic, messages, { codec = 'none', idempotent = false, batches = false } = {}) => {
      const producer = kafka.producer({
        ...quiet,
        'message.max.bytes': 2 * 1024 * 1024,
        kafkaJS: { idempotent, acks: -1, compression: codec }
      })
      await producer.connect()
      for (const batch of batches ? messages : [messages]) await producer.send({ topic, messages: batch })
      await producer.disconnect()
    },

    // A member of a group; `assigned()` is its set of partitions, `leave()` ends it.
    join: async (topic, groupId, { each, instance, cooperative }) => {
      const kafkaJS = { groupId, sessionTimeout: 6000, heartbeatInterval: 300, maxWaitTimeInMs: 50, fromBeginning: true, autoCommit: false }
      if (cooperative) kafkaJS.partitionAssigners = [PartitionAssigners.cooperativeSticky]
      const consumer = kafka.consumer({ ...quiet, kafkaJS, ...(instance ? { 'group.instance.id': instance } : {}) })
      await consumer.connect()
      await consumer.subscribe({ topic })
      await consumer.run({
        eachMessage: async ({ partition, message }) => each({ ...message, partition, offset: Number(message.offset) })
      })
      return {
        assigned: () => new Set(consumer.assignment().map(({ partition }) => partition)),
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
