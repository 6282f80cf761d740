// The AWS SDK for Go v2. It checks the digests of what it receives by itself.
package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

func main() {
	s := connect()
	checks := []struct {
		name string
		body func()
	}{
		{"queues", s.queues}, {"round_trip", s.roundTrip}, {"batches", s.batches}, {"limits", s.limits},
		{"visibility", s.visibility}, {"long_polls", s.longPolls}, {"delays", s.delays}, {"fifo", s.fifo},
		{"dead_letters", s.deadLetters}, {"purge", s.purge}, {"tags", s.tags}, {"errors", s.errors},
	}
	// At the same time: most of it is waiting.
	var all sync.WaitGroup
	for _, one := range checks {
		all.Go(func() { check(one.name, one.body) })
	}
	all.Wait()
}

func (s *service) queues() {
	name := s.name("made")
	url := s.queue("made", map[string]string{"VisibilityTimeout": "7"})
	found := must(s.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name}))
	expect(*found.QueueUrl, *url, "GetQueueUrl")
	expect(*s.queue("made", map[string]string{"VisibilityTimeout": "7"}), *url, "made again")
	list := &sqs.ListQueuesInput{QueueNamePrefix: &name}
	expect(must(s.ListQueues(ctx, list)).QueueUrls, []string{*url}, "ListQueues")
	had := s.attributes(url)
	expect(had["VisibilityTimeout"]+" "+had["MessageRetentionPeriod"], "7 345600", "attributes")
	expect(strings.HasSuffix(had["QueueArn"], ":"+name), true, "ARN")
	must(s.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
		QueueUrl: url, Attributes: map[string]string{"VisibilityTimeout": "9"},
	}))
	expect(s.attributes(url)["VisibilityTimeout"], "9", "changed")
	must(s.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: url}))
	expect(len(must(s.ListQueues(ctx, list)).QueueUrls), 0, "queues after the deletion")
}

func (s *service) roundTrip() {
	url := s.queue("round", nil)
	attributes := map[string]types.MessageAttributeValue{
		"colour": {DataType: aws.String("String"), StringValue: aws.String("reddish ✓")},
		"count":  {DataType: aws.String("Number"), StringValue: aws.String("12.5")},
		"raw":    {DataType: aws.String("Binary.png"), BinaryValue: []byte{0, 1, 255}},
	}
	sent := must(s.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: url, MessageBody: aws.String("hello <&> ünï"), MessageAttributes: attributes,
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String("Root=1-5-6")},
		},
	}))
	got := s.receive(url, 10, 0)
	expect(bodies(got), []string{"hello <&> ünï"}, "body")
	expect(*got[0].MessageId, *sent.MessageId, "id")
	expect(got[0].MessageAttributes, attributes, "attributes")
	expect(*got[0].MD5OfMessageAttributes, *sent.MD5OfMessageAttributes, "digest of the attributes")
	expect(got[0].Attributes["ApproximateReceiveCount"], "1", "receive count")
	expect(got[0].Attributes["AWSTraceHeader"], "Root=1-5-6", "trace")
	expect(len(s.receive(url, 10, 0)), 0, "while it is hidden")
	expect(s.attributes(url)["ApproximateNumberOfMessagesNotVisible"], "1", "in flight")
	s.remove(url, got[0])
	counts := s.attributes(url)
	expect(counts["ApproximateNumberOfMessages"], "0", "visible at the end")
	expect(counts["ApproximateNumberOfMessagesNotVisible"], "0", "in flight at the end")
}

func (s *service) batches() {
	url := s.queue("batch", nil)
	var entries []types.SendMessageBatchRequestEntry
	var wanted []string
	for n := range 10 {
		wanted = append(wanted, fmt.Sprint("body ", n))
		entries = append(entries, types.SendMessageBatchRequestEntry{
			Id: aws.String(fmt.Sprint("n", n)), MessageBody: &wanted[n],
		})
	}
	sent := must(s.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries}))
	expect(len(sent.Successful), 10, "sent")
	got := s.receive(url, 10, 0)
	expect(bodies(got), wanted, "bodies")
	var change []types.ChangeMessageVisibilityBatchRequestEntry
	var remove []types.DeleteMessageBatchRequestEntry
	for n, message := range got {
		id := aws.String(fmt.Sprint(n))
		change = append(change, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: id, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 60,
		})
		remove = append(remove, types.DeleteMessageBatchRequestEntry{Id: id, ReceiptHandle: message.ReceiptHandle})
	}
	longer := must(s.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
		QueueUrl: url, Entries: change,
	}))
	expect(len(longer.Successful), 10, "hidden for longer")
	remove[3].ReceiptHandle = aws.String("nonsense")
	gone := must(s.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: remove}))
	expect(len(gone.Successful), 9, "deleted")
	expect(*gone.Failed[0].Id+" "+*gone.Failed[0].Code, "3 ReceiptHandleIsInvalid", "refused")
}

func (s *service) limits() {
	url := s.queue("limits", nil)
	body := strings.Repeat("é", 512*1024)
	s.send(url, body)
	expect(*s.receive(url, 1, 0)[0].Body == body, true, "a megabyte")
	refused[smithy.APIError](s.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String(body + "x")}))
	refused[*types.InvalidMessageContents](s.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: url, MessageBody: aws.String("\x01"),
	}))
}

func (s *service) visibility() {
	url := s.queue("hidden", map[string]string{"VisibilityTimeout": "1"})
	s.send(url, "m")
	first := s.receive(url, 10, 0)
	expect(len(s.receive(url, 10, 0)), 0, "hidden")
	again := s.receive(url, 10, 5)
	expect(bodies(again), []string{"m"}, "visible again")
	expect(again[0].Attributes["ApproximateReceiveCount"], "2", "receive count")
	change := func(message types.Message, seconds int32) (*sqs.ChangeMessageVisibilityOutput, error) {
		return s.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
			QueueUrl: url, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: seconds,
		})
	}
	refused[*types.MessageNotInflight](change(first[0], 5))
	must(change(again[0], 30))
	expect(len(s.receive(url, 10, 2)), 0, "hidden for longer")
	must(change(again[0], 0))
	expect(bodies(s.receive(url, 10, 0)), []string{"m"}, "shown at once")
}

func (s *service) longPolls() {
	url := s.queue("poll", nil)
	type answer struct {
		bodies []string
		at     time.Time
		err    error
	}
	waiting := make(chan answer, 1)
	go func() {
		got, err := s.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 20})
		if err != nil {
			waiting <- answer{err: err}
			return
		}
		waiting <- answer{bodies: bodies(got.Messages), at: time.Now()}
	}()
	time.Sleep(500 * time.Millisecond) // so that it waits; if it came later, it would find the message
	sent := time.Now()
	s.send(url, "m")
	got := <-waiting
	must(got, got.err)
	expect(got.bodies, []string{"m"}, "what came")
	expect(got.at.Sub(sent) < 5*time.Second, true, "woken at once")
}

func (s *service) delays() {
	url := s.queue("delay", nil)
	must(s.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("later"), DelaySeconds: 2}))
	expect(len(s.receive(url, 10, 0)), 0, "not yet")
	expect(s.attributes(url)["ApproximateNumberOfMessagesDelayed"], "1", "delayed")
	expect(bodies(s.receive(url, 10, 10)), []string{"later"}, "after the delay")
}

func (s *service) fifo() {
	url := s.queue("order", map[string]string{"FifoQueue": "true"})
	send := func(group string, n int) *sqs.SendMessageOutput {
		id := fmt.Sprint(group, n)
		return must(s.SendMessage(ctx, &sqs.SendMessageInput{
			QueueUrl: url, MessageBody: &id, MessageGroupId: &group, MessageDeduplicationId: &id,
		}))
	}
	for n := range 5 {
		send("a", n)
		send("b", n)
	}
	one, two := send("b", 4), send("b", 4)
	expect(*one.MessageId+*one.SequenceNumber, *two.MessageId+*two.SequenceNumber, "a duplicate's identity")
	got := map[string][]string{}
	take := func(message types.Message) {
		group := message.Attributes["MessageGroupId"]
		got[group] = append(got[group], *message.Body)
		s.remove(url, message)
	}
	first := s.receive(url, 1, 0)[0]
	others := s.receive(url, 10, 0)
	expect(len(others) > 0, true, "messages of the other group")
	isLocked := func(m types.Message) bool {
		return m.Attributes["MessageGroupId"] == first.Attributes["MessageGroupId"]
	}
	expect(slices.ContainsFunc(others, isLocked), false, "a message of the group in flight")
	take(first)
	for some := others; len(some) > 0; some = s.receive(url, 10, 0) {
		for _, message := range some {
			take(message)
		}
	}
	expect(got, map[string][]string{
		"a": {"a0", "a1", "a2", "a3", "a4"}, "b": {"b0", "b1", "b2", "b3", "b4"},
	}, "order")
}

func (s *service) deadLetters() {
	dead := s.queue("dead", nil)
	arn := s.attributes(dead)["QueueArn"]
	policy := must(json.Marshal(map[string]any{"deadLetterTargetArn": arn, "maxReceiveCount": 2}))
	url := s.queue("failing", map[string]string{"VisibilityTimeout": "0", "RedrivePolicy": string(policy)})
	id := s.send(url, "poison")
	for range 2 {
		expect(bodies(s.receive(url, 10, 2)), []string{"poison"}, "a try")
	}
	expect(len(s.receive(url, 10, 0)), 0, "moved")
	must(s.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
		QueueUrl: dead, Attributes: map[string]string{"VisibilityTimeout": "0"},
	}))
	got := s.receive(dead, 10, 5)
	expect(bodies(got), []string{"poison"}, "in the dead-letter queue")
	expect(*got[0].MessageId, id, "id")
	sources := must(s.ListDeadLetterSourceQueues(ctx, &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: dead}))
	expect(sources.QueueUrls, []string{*url}, "sources")
	must(s.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{SourceArn: &arn}))
	expect(bodies(s.receive(url, 10, 10)), []string{"poison"}, "moved back")
}

func (s *service) purge() {
	url := s.queue("purge", nil)
	s.send(url, "m")
	must(s.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: url}))
	expect(len(s.receive(url, 10, 0)), 0, "purged")
	refused[*types.PurgeQueueInProgress](s.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: url}))
}

func (s *service) tags() {
	url := s.queue("tags", nil)
	must(s.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: url, Tags: map[string]string{"team": "a", "cost": "b"}}))
	must(s.UntagQueue(ctx, &sqs.UntagQueueInput{QueueUrl: url, TagKeys: []string{"cost"}}))
	had := must(s.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: url}))
	expect(had.Tags, map[string]string{"team": "a"}, "tags")
}

func (s *service) errors() {
	url, name, body := s.queue("errors", nil), s.name("errors"), "x"
	gone, goneURL := s.name("gone"), aws.String(*url+"-gone")
	refused[*types.QueueDoesNotExist](s.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &gone}))
	refused[*types.QueueDoesNotExist](s.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: goneURL, MessageBody: &body}))
	refused[*types.QueueDoesNotExist](s.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: goneURL}))
	other := map[string]string{"VisibilityTimeout": "8"}
	refused[*types.QueueNameExists](s.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: other}))
	set := func(name, value string) (*sqs.SetQueueAttributesOutput, error) {
		return s.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
			QueueUrl: url, Attributes: map[string]string{name: value},
		})
	}
	refused[*types.InvalidAttributeName](set("Colour", "red"))
	refused[*types.InvalidAttributeValue](set("VisibilityTimeout", "43201"))
	refused[*types.ReceiptHandleIsInvalid](s.DeleteMessage(ctx, &sqs.DeleteMessageInput{
		QueueUrl: url, ReceiptHandle: aws.String("nonsense"),
	}))
	entry := func(id string) types.SendMessageBatchRequestEntry {
		return types.SendMessageBatchRequestEntry{Id: &id, MessageBody: &body}
	}
	send := func(entries ...types.SendMessageBatchRequestEntry) (*sqs.SendMessageBatchOutput, error) {
		return s.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries})
	}
	refused[*types.EmptyBatchRequest](send([]types.SendMessageBatchRequestEntry{}...))
	refused[*types.TooManyEntriesInBatchRequest](send(slices.Repeat([]types.SendMessageBatchRequestEntry{entry("a")}, 11)...))
	refused[*types.BatchEntryIdsNotDistinct](send(entry("a"), entry("a")))
	refused[*types.InvalidBatchEntryId](send(entry("no id!")))
	refused[*types.ResourceNotFoundException](s.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{
		SourceArn: aws.String("arn:aws:sqs:us-east-1:000000000000:gone"),
	}))
}
