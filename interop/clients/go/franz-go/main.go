// franz-go against one broker.
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"levada/interop/checks"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type adapter struct {
	bootstrap string
	client    *kgo.Client
	admin     *kadm.Client
}

func main() {
	checks.Main("franz-go", func(bootstrap string) checks.Adapter {
		client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.MetadataMinAge(50*time.Millisecond))
		if err != nil {
			panic(err)
		}
		return &adapter{bootstrap, client, kadm.NewClient(client)}
	})
}

func bounded() context.Context {
	ctx, _ := context.WithTimeout(context.Background(), 20*time.Second) //nolint — ends with the check
	return ctx
}

func (a *adapter) Brokers() (int, error) {
	found, err := a.admin.ListBrokers(bounded())
	return len(found), err
}

func (a *adapter) CreateTopic(topic string, partitions int32, configs map[string]string) error {
	pointers := map[string]*string{}
	for name, value := range configs {
		pointers[name] = &value
	}
	_, err := a.admin.CreateTopic(bounded(), partitions, 1, pointers, topic)
	return err
}

func (a *adapter) Partitions(topic string) (int, error) {
	found, err := a.admin.ListTopics(bounded(), topic)
	return len(found[topic].Partitions), err
}

func (a *adapter) Topics() ([]string, error) {
	found, err := a.admin.ListTopics(bounded())
	return found.Names(), err
}

func (a *adapter) Config(topic, name string) (string, error) {
	found, err := a.admin.DescribeTopicConfigs(bounded(), topic)
	if err != nil {
		return "", err
	}
	resource, err := found.On(topic, nil)
	if err != nil || resource.Err != nil {
		return "", fmt.Errorf("%v %v", err, resource.Err)
	}
	for _, config := range resource.Configs {
		if config.Key == name {
			return config.MaybeValue(), nil
		}
	}
	return "", fmt.Errorf("no config %s", name)
}

func (a *adapter) AlterConfig(topic, name, value string) error {
	alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}
	responses, err := a.admin.AlterTopicConfigs(bounded(), alter, topic)
	if err != nil {
		return err
	}
	_, err = responses.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	return err
}

func (a *adapter) CreatePartitions(topic string, count int32) error {
	responses, err := a.admin.UpdatePartitions(bounded(), int(count), topic)
	if err != nil {
		return err
	}
	return responses.Error()
}

func (a *adapter) DeleteTopic(topic string) error {
	_, err := a.admin.DeleteTopic(bounded(), topic)
	return err
}

func (a *adapter) Produce(topic string, records []*checks.Record, how checks.Sending) error {
	codecs := map[string]kgo.CompressionCodec{
		"": kgo.NoCompression(), "none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(a.bootstrap), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[how.Codec]), kgo.ProducerBatchMaxBytes(2 << 20),
	}
	if !how.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	var batch []*kgo.Record
	for _, record := range records {
		one := &kgo.Record{Topic: topic, Partition: record.Partition, Key: record.Key, Value: record.Value}
		if record.Millis != 0 {
			one.Timestamp = time.UnixMilli(record.Millis)
		}
		for _, header := range record.Headers {
			one.Headers = append(one.Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
		}
		batch = append(batch, one)
	}
	if err := client.ProduceSync(bounded(), batch...).FirstErr(); err != nil {
		return err
	}
	for i, record := range batch {
		records[i].Offset = record.Offset
	}
	return nil
}

func take(record *kgo.Record) *checks.Record {
	out := &checks.Record{Partition: record.Partition, Offset: record.Offset, Key: record.Key, Value: record.Value,
		Millis: record.Timestamp.UnixMilli()}
	for _, header := range record.Headers {
		out.Headers = append(out.Headers, checks.Header{Key: header.Key, Value: header.Value})
	}
	return out
}

func (a *adapter) ReadAll(topic string, partitions int32, count int) ([]*checks.Record, error) {
	start := map[int32]kgo.Offset{}
	for partition := range partitions {
		start[partition] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(a.bootstrap), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var read []*checks.Record
	for ctx := bounded(); len(read) < count; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(record *kgo.Record) { read = append(read, take(record)) })
	}
	return read, nil
}

type member struct {
	sync.Mutex
	client   *kgo.Client
	topic    string
	assigned map[int32]bool
	static   bool
}

func (a *adapter) Join(topic, group string, how checks.Joining, each func(*checks.Record)) (checks.Member, error) {
	m := &member{topic: topic, assigned: map[int32]bool{}, static: how.Instance != ""}
	change := func(held bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.Lock()
			defer m.Unlock()
			for _, partition := range parts[topic] {
				if held {
					m.assigned[partition] = true
				} else {
					delete(m.assigned, partition)
				}
			}
		}
	}
	balancer := kgo.RangeBalancer()
	if how.Cooperative {
		balancer = kgo.CooperativeStickyBalancer()
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(a.bootstrap), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.Balancers(balancer), kgo.HeartbeatInterval(300 * time.Millisecond), kgo.SessionTimeout(6 * time.Second),
		kgo.FetchMaxWait(50 * time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}
	if how.Instance != "" {
		options = append(options, kgo.InstanceID(how.Instance), kgo.SessionTimeout(20*time.Second))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	m.client = client
	go func() {
		for {
			fetches := client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			fetches.EachRecord(func(record *kgo.Record) { each(take(record)) })
		}
	}()
	return m, nil
}

func (m *member) Assigned() map[int32]bool {
	m.Lock()
	defer m.Unlock()
	held := map[int32]bool{}
	for partition := range m.assigned {
		held[partition] = true
	}
	return held
}

func (m *member) Commit(partition int32, offset int64) error {
	failure := make(chan error, 1)
	offsets := map[string]map[int32]kgo.EpochOffset{m.topic: {partition: {Epoch: -1, Offset: offset}}}
	m.client.CommitOffsetsSync(bounded(), offsets,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
			if err == nil {
				err = kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode)
			}
			failure <- err
		})
	return <-failure
}

func (m *member) Leave() error {
	m.client.Close()
	return nil
}

func (a *adapter) Committed(group, topic string, partition int32) (int64, error) {
	found, err := a.admin.FetchOffsets(bounded(), group)
	if err != nil {
		return 0, err
	}
	offset, _ := found.Lookup(topic, partition)
	return offset.At, offset.Err
}

func (a *adapter) OffsetAt(topic string, millis int64) (int64, error) {
	found, err := a.admin.ListOffsetsAfterMilli(bounded(), millis, topic)
	if err != nil {
		return 0, err
	}
	offset, _ := found.Lookup(topic, 0)
	return offset.Offset, offset.Err
}

func (a *adapter) Ends(topic string) (int64, int64, error) {
	low, err := a.admin.ListStartOffsets(bounded(), topic)
	if err != nil {
		return 0, 0, err
	}
	high, err := a.admin.ListEndOffsets(bounded(), topic)
	if err != nil {
		return 0, 0, err
	}
	first, _ := low.Lookup(topic, 0)
	last, _ := high.Lookup(topic, 0)
	return first.Offset, last.Offset, nil
}
