// sarama against one broker.
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"levada/interop/checks"

	"github.com/IBM/sarama"
)

type adapter struct {
	bootstrap []string
	client    sarama.Client
	admin     sarama.ClusterAdmin
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V4_1_0_0
	c.Metadata.RefreshFrequency = time.Second
	c.Consumer.MaxWaitTime = 50 * time.Millisecond
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Session.Timeout = 6 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	return c
}

func main() {
	checks.Main("sarama", func(bootstrap string) checks.Adapter {
		client, err := sarama.NewClient([]string{bootstrap}, config())
		if err != nil {
			panic(err)
		}
		admin, err := sarama.NewClusterAdminFromClient(client)
		if err != nil {
			panic(err)
		}
		return &adapter{[]string{bootstrap}, client, admin}
	})
}

func (a *adapter) Brokers() (int, error) {
	found, _, err := a.admin.DescribeCluster()
	return len(found), err
}

func (a *adapter) CreateTopic(topic string, partitions int32, configs map[string]string) error {
	pointers := map[string]*string{}
	for name, value := range configs {
		pointers[name] = &value
	}
	return a.admin.CreateTopic(topic, &sarama.TopicDetail{
		NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: pointers}, false)
}

func (a *adapter) Partitions(topic string) (int, error) {
	found, err := a.admin.DescribeTopics([]string{topic})
	if err != nil {
		return 0, err
	}
	return len(found[0].Partitions), nil
}

func (a *adapter) Topics() (names []string, err error) {
	found, err := a.admin.ListTopics()
	for name := range found {
		names = append(names, name)
	}
	return names, err
}

func (a *adapter) Config(topic, name string) (string, error) {
	found, err := a.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	for _, entry := range found {
		if entry.Name == name {
			return entry.Value, nil
		}
	}
	return "", fmt.Errorf("no config %s: %v", name, err)
}

func (a *adapter) AlterConfig(topic, name, value string) error {
	return a.admin.IncrementalAlterConfig(sarama.TopicResource, topic,
		map[string]sarama.IncrementalAlterConfigsEntry{
			name: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}, false)
}

func (a *adapter) CreatePartitions(topic string, count int32) error {
	return a.admin.CreatePartitions(topic, count, nil, false)
}

func (a *adapter) DeleteTopic(topic string) error { return a.admin.DeleteTopic(topic) }

func (a *adapter) Produce(topic string, records []*checks.Record, how checks.Sending) error {
	c := config()
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.MaxMessageBytes = 2 << 20
	c.Producer.Compression = map[string]sarama.CompressionCodec{
		"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}[how.Codec]
	if how.Idempotent {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer(a.bootstrap, c)
	if err != nil {
		return err
	}
	defer producer.Close()
	var batch []*sarama.ProducerMessage
	for _, record := range records {
		one := &sarama.ProducerMessage{Topic: topic, Partition: record.Partition}
		if record.Key != nil {
			one.Key = sarama.ByteEncoder(record.Key)
		}
		if record.Value != nil {
			one.Value = sarama.ByteEncoder(record.Value)
		}
		if record.Millis != 0 {
			one.Timestamp = time.UnixMilli(record.Millis)
		}
		for _, header := range record.Headers {
			one.Headers = append(one.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
		}
		batch = append(batch, one)
	}
	if err := producer.SendMessages(batch); err != nil {
		return err
	}
	for i, message := range batch {
		records[i].Offset = message.Offset
	}
	return nil
}

func take(message *sarama.ConsumerMessage) *checks.Record {
	out := &checks.Record{Partition: message.Partition, Offset: message.Offset, Key: message.Key, Value: message.Value,
		Millis: message.Timestamp.UnixMilli()}
	for _, header := range message.Headers {
		out.Headers = append(out.Headers, checks.Header{Key: string(header.Key), Value: header.Value})
	}
	return out
}

func (a *adapter) ReadAll(topic string, partitions int32, count int) ([]*checks.Record, error) {
	consumer, err := sarama.NewConsumerFromClient(a.client)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	deadline := time.After(20 * time.Second)
	var read []*checks.Record
	for partition := range partitions {
		part, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
		if err != nil {
			return nil, err
		}
		for range count / int(partitions) {
			select {
			case message := <-part.Messages():
				read = append(read, take(message))
			case <-deadline:
				return nil, fmt.Errorf("read %d of %d records", len(read), count)
			}
		}
		part.Close()
	}
	return read, nil
}

type member struct {
	sync.Mutex
	group    sarama.ConsumerGroup
	session  sarama.ConsumerGroupSession
	topic    string
	assigned map[int32]bool
	each     func(*checks.Record)
	stop     context.CancelFunc
	ended    chan struct{}
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.Lock()
	defer m.Unlock()
	m.session, m.assigned = session, map[int32]bool{}
	for _, partition := range session.Claims()[m.topic] {
		m.assigned[partition] = true
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.Lock()
	defer m.Unlock()
	m.assigned = map[int32]bool{}
	return nil
}

func (m *member) ConsumeClaim(_ sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		m.each(take(message))
	}
	return nil
}

func (a *adapter) Join(topic, group string, how checks.Joining, each func(*checks.Record)) (checks.Member, error) {
	if how.Cooperative {
		return nil, fmt.Errorf("%w: sarama has no cooperative rebalance", checks.ErrNotApplicable)
	}
	c := config()
	if how.Instance != "" {
		c.Consumer.Group.InstanceId = how.Instance
		c.Consumer.Group.Session.Timeout = 20 * time.Second
	}
	joined, err := sarama.NewConsumerGroup(a.bootstrap, group, c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{group: joined, topic: topic, each: each, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for ctx.Err() == nil {
			if err := joined.Consume(ctx, []string{topic}, m); err != nil {
				return
			}
		}
	}()
	return m, nil
}

func (m *member) Assigned() map[int32]bool {
	m.Lock()
	defer m.Unlock()
	return m.assigned
}

func (m *member) Commit(partition int32, offset int64) error {
	m.Lock()
	defer m.Unlock()
	m.session.MarkOffset(m.topic, partition, offset, "")
	m.session.Commit()
	return nil
}

func (m *member) Leave() error {
	m.stop()
	<-m.ended
	return m.group.Close()
}

func (a *adapter) Committed(group, topic string, partition int32) (int64, error) {
	found, err := a.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {partition}})
	if err != nil {
		return 0, err
	}
	return found.GetBlock(topic, partition).Offset, nil
}

func (a *adapter) OffsetAt(topic string, millis int64) (int64, error) {
	return a.client.GetOffset(topic, 0, millis)
}

func (a *adapter) Ends(topic string) (int64, int64, error) {
	low, err := a.client.GetOffset(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return 0, 0, err
	}
	high, err := a.client.GetOffset(topic, 0, sarama.OffsetNewest)
	return low, high, err
}
