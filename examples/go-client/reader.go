// The stream itself: opened, read, and resumed behind the last frames when the broker went away.
package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "trueframe.example/frames/trueframev1"
)

const (
	// A frame may have 16 MiB and a batch several of them; gRPC's own limit for a message is 4.
	largestMessage = 64 << 20
	shortestWait   = 200 * time.Millisecond
	longestWait    = 5 * time.Second
)

// Reader reads a stream of the broker for as long as its context lives.
type Reader struct {
	Find    func() (Instance, error)
	Request *pb.StreamFramesRequest
	OnItem  func(*pb.Item)
	Starts  func() []*pb.CameraStart
	Warn    func(format string, values ...any)

	Connections int64
}

// Run reads until the context ends (nil), or an error that trying again cannot heal.
func (r *Reader) Run(ctx context.Context) error {
	wait := shortestWait
	for {
		gotItems, err := r.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !heals(err) {
			return err
		}
		if gotItems {
			wait = shortestWait
		}
		r.Warn("connection lost (%v); again in %v", err, wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}

// connect opens one stream and reads it to its end. The instance is looked up each time: it may have moved.
func (r *Reader) connect(ctx context.Context) (gotItems bool, err error) {
	instance, err := r.Find()
	if err != nil {
		if r.Connections > 0 { // it was there a moment ago: it may come back
			return false, status.Error(codes.Unavailable, err.Error())
		}
		return false, err
	}
	channel, err := grpc.NewClient(instance.Endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(bearer{instance.TokenFile}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage)))
	if err != nil {
		return false, usageError{fmt.Errorf("endpoint %q: %w", instance.Endpoint, err)}
	}
	defer channel.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewBrokerServiceClient(channel).StreamFrames(ctx)
	if err != nil {
		return false, err
	}
	r.Request.Starts = r.Starts()
	// The request's side stays open: the broker would take further camera sets on it. Its error comes from Recv.
	if err := stream.Send(r.Request); err != nil && err != io.EOF {
		return false, err
	}
	r.Connections++
	for {
		batch, err := stream.Recv()
		if err != nil {
			return gotItems, err
		}
		gotItems = true
		for _, item := range batch.Items {
			r.OnItem(item)
		}
	}
}

// heals says whether the same request may succeed later.
func heals(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return false
	case codes.Unknown: // not of gRPC: run.json is missing, a flag is wrong
		return err == io.EOF
	}
	return true
}

func gapName(reason pb.GapReason) string {
	return strings.ToLower(strings.TrimPrefix(reason.String(), "GAP_REASON_"))
}
