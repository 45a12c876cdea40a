// An adapter in one file: it counts the words of what it is asked, and says so, as a model would.
// tools/go-stubs && cd adapters/examples/go && go run . 127.0.0.1:7072
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	pb "atp/examples/adapter/stubs"
)

type words struct{ pb.UnimplementedAdapterServiceServer }

func (words) Capabilities(context.Context, *pb.CapabilitiesRequest) (*pb.CapabilitiesResponse, error) {
	return &pb.CapabilitiesResponse{AdapterId: os.Args[1], AdapterType: "words", Models: []string{"words"}}, nil
}

func (words) Complete(call grpc.BidiStreamingServer[pb.CompleteRequest, pb.CompleteResponse]) error {
	first, err := call.Recv()
	if err != nil {
		return err
	}
	body := first.Body
	for more, err := call.Recv(); err == nil; more, err = call.Recv() {
		body = append(body, more.Body...)
	}
	var asked struct{ Messages []struct{ Content string } }
	if err := json.Unmarshal(body, &asked); err != nil || len(asked.Messages) == 0 {
		no := &pb.ErrorValue{Code: "invalid_request", Side: pb.Side_SIDE_CALLER, Message: "a chat with text is wanted"}
		return call.Send(&pb.CompleteResponse{Error: no})
	}
	count := len(strings.Fields(asked.Messages[len(asked.Messages)-1].Content))
	said := fmt.Sprintf("That is %d words.", count)
	kind, form := "application/json", `{"id":"words","object":"chat.completion","created":0,"model":"words","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":4,"total_tokens":%d}}`
	answer := fmt.Sprintf(form, said, count, count+4)
	if first.Head.Stream {
		kind = "text/event-stream"
		answer = fmt.Sprintf("data: {\"id\":\"words\",\"object\":\"chat.completion.chunk\",\"created\":0,\"model\":\"words\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":%q},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", said)
	}
	head := &pb.ResponseHead{Status: 200, Headers: []*pb.Header{{Name: "content-type", Value: []byte(kind)}}}
	report := &pb.Report{Usage: &pb.Usage{Input: uint64(count), Output: 4}, Finish: pb.Finish_FINISH_STOP, Content: true, Complete: true}
	return call.Send(&pb.CompleteResponse{Head: head, Body: []byte(answer), Report: report})
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterAdapterServiceServer(server, words{})
	log.Fatal(server.Serve(listener))
}
