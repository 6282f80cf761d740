package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// failure is what a check that does not hold ends with, by panic.
type failure string

type service struct {
	*sqs.Client
	runID string
}

var ctx = context.Background()

func connect() *service {
	if len(os.Args) != 4 {
		fmt.Fprintf(os.Stderr, "usage: %s ENDPOINT BOOTSTRAP RUN_ID\n", os.Args[0])
		os.Exit(2)
	}
	anybody := func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "anybody", SecretAccessKey: "anything"}, nil
	}
	return &service{runID: os.Args[3], Client: sqs.New(sqs.Options{
		BaseEndpoint: aws.String(os.Args[1]),
		Region:       "us-east-1",
		Credentials:  aws.CredentialsProviderFunc(anybody),
		Retryer:      aws.NopRetryer{}, // retries would hide errors
	})}
}

func (s *service) name(what string) string { return "go-" + what + "-" + s.runID }

// queue makes a queue that no other run uses, and returns its URL.
func (s *service) queue(what string, attributes map[string]string) *string {
	name := s.name(what)
	if attributes["FifoQueue"] == "true" {
		name += ".fifo"
	}
	made := must(s.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes}))
	return made.QueueUrl
}

func (s *service) attributes(url *string) map[string]string {
	return must(s.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: url, AttributeNames: []types.QueueAttributeName{"All"},
	})).Attributes
}

func (s *service) send(url *string, body string) string {
	return *must(s.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body})).MessageId
}

// receive takes up to count messages with all that they carry.
func (s *service) receive(url *string, count, waitSeconds int32) []types.Message {
	return must(s.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: url, MaxNumberOfMessages: count, WaitTimeSeconds: waitSeconds,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	})).Messages
}

func (s *service) remove(url *string, message types.Message) {
	must(s.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: message.ReceiptHandle}))
}

func bodies(messages []types.Message) []string {
	all := []string{}
	for _, message := range messages {
		all = append(all, *message.Body)
	}
	return all
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(failure(err.Error()))
	}
	return value
}

func expect[T any](actual, wanted T, what string) {
	if !reflect.DeepEqual(actual, wanted) {
		panic(failure(fmt.Sprintf("%s: got %v, wanted %v", what, actual, wanted)))
	}
}

// refused fails unless the call ended with an error of the SDK's class E.
func refused[E error, T any](_ T, err error) {
	var wanted E
	if err == nil {
		panic(failure(fmt.Sprintf("not refused, wanted %T", wanted)))
	}
	if !errors.As(err, &wanted) {
		panic(failure(fmt.Sprintf("refused with %v, wanted %T", err, wanted)))
	}
}

func check(name string, body func()) {
	started := time.Now()
	defer func() {
		if why := recover(); why != nil {
			text := strings.Join(strings.Fields(fmt.Sprint(why)), " ")
			fmt.Printf("CHECK %s FAIL %.300s\n", name, text)
			return
		}
		fmt.Printf("CHECK %s ok %.1f s\n", name, time.Since(started).Seconds())
	}()
	body()
}
