// Package checks holds the checks of the two Go clients, over an adapter that each of them brings.
package checks

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	partitions = 4
	records    = 100
	large      = 1024 * 1024
	wait       = 25 * time.Second
)

// ErrNotApplicable says that the client lacks a feature.
var ErrNotApplicable = errors.New("n/a")

// Header of a record; a nil value is null.
type Header struct {
	Key   string
	Value []byte
}

// Record as it was sent or read; a nil key or value is null.
type Record struct {
	Partition  int32
	Offset     int64
	Key, Value []byte
	Headers    []Header
	Millis     int64
}

// Sending says how to produce.
type Sending struct {
	Codec      string
	Idempotent bool
}

// Joining says how to join a group.
type Joining struct {
	Instance    string
	Cooperative bool
}

// Member of a group. Each record goes to the function that Join was given.
type Member interface {
	Assigned() map[int32]bool
	Commit(partition int32, offset int64) error
	Leave() error
}

// Adapter is what a client must be able to do. Offsets of produced records are filled in.
type Adapter interface {
	Brokers() (int, error)
	CreateTopic(topic string, partitions int32, configs map[string]string) error
	Partitions(topic string) (int, error)
	Topics() ([]string, error)
	Config(topic, name string) (string, error)
	AlterConfig(topic, name, value string) error
	CreatePartitions(topic string, count int32) error
	DeleteTopic(topic string) error
	Produce(topic string, records []*Record, how Sending) error
	ReadAll(topic string, partitions int32, count int) ([]*Record, error)
	Join(topic, group string, how Joining, each func(*Record)) (Member, error)
	Committed(group, topic string, partition int32) (int64, error)
	OffsetAt(topic string, millis int64) (int64, error)
	Ends(topic string) (int64, int64, error)
}

type run struct {
	Adapter
	client, id string
}

// Main runs every check against the broker named on the command line.
func Main(client string, connect func(bootstrap string) Adapter) {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: "+client+" BOOTSTRAP RUN_ID")
		os.Exit(2)
	}
	r := &run{Adapter: connect(os.Args[1]), client: client, id: os.Args[2]}
	r.check("connect", r.connect)
	r.check("produce-consume", r.produceConsume)
	r.check("group-consume", r.groupConsume)
	r.check("rebalance", func() { r.rebalance("rebalance", Joining{}) })
	r.check("admin", r.admin)
	r.check("idempotence", r.idempotence)
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		r.check("compression-"+codec, func() { r.compression(codec) })
	}
	r.check("headers", r.headers)
	r.check("create-time", r.createTime)
	r.check("append-time", r.appendTime)
	r.check("large-value", r.largeValue)
	r.check("empty-null-values", r.emptyValues)
	r.check("offsets-for-times", r.offsetsForTimes)
	r.check("static-membership", r.staticMembership)
	r.check("cooperative-sticky", func() { r.rebalance("cooperative", Joining{Cooperative: true}) })
}

func (r *run) check(name string, body func()) {
	started := time.Now()
	defer func() {
		failure := recover()
		if err, ok := failure.(error); ok && errors.Is(err, ErrNotApplicable) {
			fmt.Printf("CHECK %s n/a %v\n", name, err)
		} else if failure != nil {
			text := strings.Join(strings.Fields(fmt.Sprint(failure)), " ")
			fmt.Printf("CHECK %s FAIL %.300s\n", name, text)
		} else {
			fmt.Printf("CHECK %s ok %.1f s\n", name, time.Since(started).Seconds())
		}
	}()
	body()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func get[T any](value T, err error) T {
	must(err)
	return value
}

func expect(actual, wanted any, what string) {
	if fmt.Sprint(actual) != fmt.Sprint(wanted) {
		panic(fmt.Sprintf("%s: got %.120v, wanted %.120v", what, actual, wanted))
	}
}

func waitFor(what string, condition func() bool) {
	deadline := time.Now().Add(wait)
	for !condition() {
		if time.Now().After(deadline) {
			panic("gave up waiting for: " + what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *run) name(what string) string { return r.client + "-" + what + "-" + r.id }

func (r *run) create(what string, count int32, configs map[string]string) string {
	topic := r.name(what)
	must(r.CreateTopic(topic, count, configs))
	waitFor("the topic in metadata", func() bool {
		found, err := r.Partitions(topic)
		return err == nil && found == int(count)
	})
	return topic
}

func values(count int) []*Record {
	all := make([]*Record, count)
	for i := range all {
		all[i] = &Record{Value: fmt.Appendf(nil, "v%d", i)}
	}
	return all
}

// same fails unless what was read equals what was sent, record by record, nulls told from empty bytes.
func same(read, sent []*Record) {
	expect(len(read), len(sent), "records")
	for i, record := range read {
		wanted := sent[i]
		expect(record.Offset, wanted.Offset, "offset")
		sameBytes(record.Key, wanted.Key, "key")
		sameBytes(record.Value, wanted.Value, "value")
		expect(len(record.Headers), len(wanted.Headers), "headers")
		for n, header := range record.Headers {
			expect(header.Key, wanted.Headers[n].Key, "header key")
			sameBytes(header.Value, wanted.Headers[n].Value, "header "+header.Key)
		}
		if wanted.Millis != 0 {
			expect(record.Millis, wanted.Millis, "timestamp")
		}
	}
}

func sameBytes(actual, wanted []byte, what string) {
	if (actual == nil) != (wanted == nil) || !bytes.Equal(actual, wanted) {
		panic(fmt.Sprintf("%s: got %.60q (null: %v), wanted %.60q", what, actual, actual == nil, wanted))
	}
}

func (r *run) connect() { expect(get(r.Brokers()), 1, "brokers") }

func (r *run) produceConsume() {
	topic, now := r.create("produce", partitions, nil), time.Now().UnixMilli()
	var sent []*Record
	for i := range records {
		sent = append(sent, &Record{
			Partition: int32(i % partitions), Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "v%d", i),
			Headers: []Header{{"n", fmt.Appendf(nil, "%d", i)}}, Millis: now + int64(i),
		})
	}
	must(r.Produce(topic, sent, Sending{}))
	read := get(r.ReadAll(topic, partitions, records))
	for partition := range int32(partitions) {
		of := func(all []*Record) (mine []*Record) {
			for _, record := range all {
				if record.Partition == partition {
					mine = append(mine, record)
				}
			}
			return mine
		}
		for i, record := range of(read) {
			expect(record.Offset, i, "offset")
		}
		same(of(read), of(sent))
	}
}

// collector is a member's inbox.
type collector struct {
	sync.Mutex
	offsets []int64
}

func (c *collector) each(record *Record) {
	c.Lock()
	defer c.Unlock()
	c.offsets = append(c.offsets, record.Offset)
}

func (c *collector) count() int {
	c.Lock()
	defer c.Unlock()
	return len(c.offsets)
}

func (r *run) groupConsume() {
	topic, group := r.create("group", 1, nil), r.name("group")
	must(r.Produce(topic, values(records), Sending{}))
	var seen, rest collector
	first := get(r.Join(topic, group, Joining{}, seen.each))
	waitFor("40 records", func() bool { return seen.count() >= 40 })
	must(first.Commit(0, 40))
	must(first.Leave())
	expect(get(r.Committed(group, topic, 0)), 40, "committed")
	second := get(r.Join(topic, group, Joining{}, rest.each))
	waitFor("the rest", func() bool { return rest.count() >= records-40 })
	must(second.Commit(0, records))
	must(second.Leave())
	for i, offset := range rest.offsets {
		expect(offset, 40+i, "offset")
	}
	expect(get(r.Committed(group, topic, 0)), records, "committed at the end")
}

func (r *run) rebalance(what string, how Joining) {
	topic, group := r.create(what, partitions, nil), r.name(what)
	nothing := func(*Record) {}
	first := get(r.Join(topic, group, how, nothing))
	second := get(r.Join(topic, group, how, nothing))
	waitFor("both members hold partitions", func() bool {
		a, b := first.Assigned(), second.Assigned()
		for partition := range b {
			if a[partition] {
				return false
			}
		}
		return len(a) > 0 && len(b) > 0 && len(a)+len(b) == partitions
	})
	must(second.Leave())
	waitFor("the remaining member holds every partition", func() bool { return len(first.Assigned()) == partitions })
	must(first.Leave())
}

func (r *run) admin() {
	topic := r.create("admin", 2, map[string]string{"retention.ms": "3600000"})
	expect(get(r.Config(topic, "retention.ms")), "3600000", "retention.ms as created")
	must(r.AlterConfig(topic, "retention.ms", "7200000"))
	waitFor("retention.ms as altered", func() bool { return get(r.Config(topic, "retention.ms")) == "7200000" })
	must(r.CreatePartitions(topic, 4))
	waitFor("four partitions", func() bool { return get(r.Partitions(topic)) == 4 })
	must(r.DeleteTopic(topic))
	waitFor("the topic's end", func() bool {
		for _, name := range get(r.Topics()) {
			if name == topic {
				return false
			}
		}
		return true
	})
}

func (r *run) idempotence() {
	topic, sent := r.create("idempotence", 1, nil), values(500)
	must(r.Produce(topic, sent, Sending{Idempotent: true}))
	for i, record := range sent {
		expect(record.Offset, i, "acknowledged offset")
	}
	same(get(r.ReadAll(topic, 1, 500)), sent)
}

func (r *run) compression(codec string) {
	topic, sent := r.create("compression-"+codec, 1, nil), values(records)
	for _, record := range sent {
		record.Value = bytes.Repeat(record.Value, 100)
	}
	must(r.Produce(topic, sent, Sending{Codec: codec}))
	same(get(r.ReadAll(topic, 1, records)), sent)
}

func (r *run) headers() {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	topic := r.create("headers", 1, nil)
	sent := []*Record{{Value: []byte("v"), Headers: []Header{
		{"a", []byte("1")}, {"a", []byte("2")}, {"empty", []byte{}}, {"null", nil}, {"bytes", all}}}}
	must(r.Produce(topic, sent, Sending{}))
	same(get(r.ReadAll(topic, 1, 1)), sent)
}

func (r *run) createTime() {
	topic, sent := r.create("timestamps", 1, map[string]string{"retention.ms": "-1"}), values(5)
	for i, record := range sent {
		record.Millis = int64(1_000_000 + i)
	}
	must(r.Produce(topic, sent, Sending{}))
	same(get(r.ReadAll(topic, 1, 5)), sent)
}

func (r *run) appendTime() {
	topic := r.create("append-time", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	before := time.Now().UnixMilli()
	must(r.Produce(topic, []*Record{{Value: []byte("v"), Millis: 1_000_000}}, Sending{}))
	stamp := get(r.ReadAll(topic, 1, 1))[0].Millis
	expect(before-1000 <= stamp && stamp <= before+30_000, true, fmt.Sprintf("append time %d near %d", stamp, before))
}

func (r *run) largeValue() {
	topic, value := r.create("large", 1, map[string]string{"max.message.bytes": "2097152"}), make([]byte, large)
	rand.Read(value)
	sent := []*Record{{Value: value}}
	must(r.Produce(topic, sent, Sending{}))
	same(get(r.ReadAll(topic, 1, 1)), sent)
}

func (r *run) emptyValues() {
	topic, key := r.create("empty", 1, nil), []byte("k")
	sent := []*Record{{Key: key, Value: []byte{}}, {Key: key}, {Value: []byte("v")}}
	must(r.Produce(topic, sent, Sending{}))
	same(get(r.ReadAll(topic, 1, 3)), sent)
}

func (r *run) offsetsForTimes() {
	topic, sent := r.create("times", 1, map[string]string{"retention.ms": "-1"}), values(10)
	for i, record := range sent {
		record.Millis = int64(1000 * (i + 1))
	}
	must(r.Produce(topic, sent, Sending{}))
	expect(get(r.OffsetAt(topic, 4500)), 4, "first offset at or after 4500 ms")
	low, high, err := r.Ends(topic)
	must(err)
	expect([]int64{low, high}, []int64{0, 10}, "ends")
}

func (r *run) staticMembership() {
	topic, group := r.create("static", partitions, nil), r.name("static")
	nothing := func(*Record) {}
	first := get(r.Join(topic, group, Joining{Instance: "i0"}, nothing))
	second := get(r.Join(topic, group, Joining{Instance: "i1"}, nothing))
	waitFor("both members hold partitions", func() bool {
		return len(first.Assigned()) == 2 && len(second.Assigned()) == 2
	})
	mine, other := fmt.Sprint(first.Assigned()), fmt.Sprint(second.Assigned())
	must(second.Leave())
	second = get(r.Join(topic, group, Joining{Instance: "i1"}, nothing))
	waitFor("the returned member holds partitions", func() bool { return len(second.Assigned()) > 0 })
	expect(fmt.Sprint(first.Assigned(), second.Assigned()), fmt.Sprint(mine, " ", other), "partitions after the return")
	must(first.Leave())
	must(second.Leave())
}
