// trueframe-frames streams live frames of a running trueframe, verifies every payload against its SHA-256 and every
// id against its predecessor, prints one line a second and, with -json, one JSON object at the end.
//
// Exit codes: 0 good, 1 a frame was different, doubled or missing without a word, or the stream failed, 2 bad input,
// 3 nothing runs there.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "trueframe.example/frames/trueframev1"
)

type options struct {
	data, endpoint, tokenFile string
	cameras, labels, delivery string
	subscriber, log           string
	maxRate                   float64
	duration                  time.Duration
	frames                    int64
	isJSON                    bool
}

func parseOptions(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("trueframe-frames", flag.ContinueOnError)
	data := os.Getenv("TRUEFRAME_DATA")
	if data == "" {
		data = "trueframe-data"
	}
	flags.StringVar(&o.data, "data", data, "data `folder` of the running instance")
	flags.StringVar(&o.endpoint, "endpoint", "", "the broker's `address` instead of run.json's, as unix:/path or host:port")
	flags.StringVar(&o.tokenFile, "token-file", os.Getenv("TRUEFRAME_TOKEN_FILE"), "`file` with the token instead of run.json's")
	flags.StringVar(&o.cameras, "cameras", "", "camera `ids`, comma-separated; without them and -labels: all")
	flags.StringVar(&o.labels, "labels", "", "every camera that carries all of these labels: `key=value,…`")
	flags.StringVar(&o.delivery, "delivery", "lossless", "`mode`: lossless, latest or keyframes")
	flags.Float64Var(&o.maxRate, "max-rate", 0, "keyframes: at most so many `frames` a second of each camera")
	flags.StringVar(&o.subscriber, "name", "go-client", "`name` of the subscription in counters and logs")
	flags.DurationVar(&o.duration, "for", 0, "end after this `time`; 0: when interrupted")
	flags.Int64Var(&o.frames, "frames", 0, "end after so many `frames`; 0: never")
	flags.StringVar(&o.log, "log", "", "write a line `CAMERA EPOCH SEQ SHA256` for each frame to this file")
	flags.BoolVar(&o.isJSON, "json", false, "print a JSON object at the end, the lines go to stderr")
	if err := flags.Parse(arguments); err != nil {
		return o, usageError{err}
	}
	if flags.NArg() > 0 {
		return o, usageError{fmt.Errorf("%q is no option: -h lists them", flags.Arg(0))}
	}
	return o, nil
}

func (o options) request() (*pb.StreamFramesRequest, error) {
	mode, isKnown := pb.Delivery_value["DELIVERY_"+strings.ToUpper(o.delivery)]
	if !isKnown || mode == 0 {
		return nil, usageError{fmt.Errorf("delivery %q is not known: lossless, latest or keyframes", o.delivery)}
	}
	request := &pb.StreamFramesRequest{Delivery: pb.Delivery(mode), Subscriber: o.subscriber, MaxRate: o.maxRate}
	if o.cameras != "" {
		request.Cameras = strings.Split(o.cameras, ",")
	}
	if o.labels != "" {
		request.Labels = map[string]string{}
		for _, label := range strings.Split(o.labels, ",") {
			key, value, hasValue := strings.Cut(label, "=")
			if !hasValue {
				return nil, usageError{fmt.Errorf("label %q has no value: write key=value", label)}
			}
			request.Labels[key] = value
		}
	}
	request.AllCameras = o.cameras == "" && o.labels == ""
	return request, nil
}

// run does all of it; the result is the exit code.
func run(o options) (int, error) {
	request, err := o.request()
	if err != nil {
		return 2, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.duration > 0 {
		limited, cancel := context.WithTimeout(ctx, o.duration)
		defer cancel()
		ctx = limited
	}
	ctx, finish := context.WithCancel(ctx)
	defer finish()

	var log *bufio.Writer
	if o.log != "" {
		file, err := os.Create(o.log)
		if err != nil {
			return 2, usageError{err}
		}
		defer file.Close()
		log = bufio.NewWriter(file)
		defer log.Flush()
	}
	lines := os.Stdout
	if o.isJSON {
		lines = os.Stderr
	}

	// The reader and the line of each second share the account.
	var guard sync.Mutex
	account, frames := newAccount(), int64(0)
	reader := &Reader{
		Find:    func() (Instance, error) { return findInstance(o.data, o.endpoint, o.tokenFile) },
		Request: request,
		OnItem: func(item *pb.Item) {
			guard.Lock()
			defer guard.Unlock()
			// Items of the last batch behind the wanted number are not part of what was asked for.
			if o.frames > 0 && frames >= o.frames {
				return
			}
			frame, digest := account.take(item)
			if frame == nil {
				return
			}
			frames++
			if log != nil {
				fmt.Fprintf(log, "%s %d %d %x\n", frame.Id.Camera, frame.Id.Epoch, frame.Id.Seq, digest)
			}
			if frames == o.frames {
				finish()
			}
		},
		Starts: func() []*pb.CameraStart {
			guard.Lock()
			defer guard.Unlock()
			return account.starts()
		},
		Warn: func(format string, values ...any) { fmt.Fprintf(os.Stderr, format+"\n", values...) },
	}
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- reader.Run(ctx) }()

	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before Totals
	for {
		select {
		case <-tick.C:
			guard.Lock()
			now, cameras := account.totals(), len(account.Cameras)
			guard.Unlock()
			fmt.Fprintf(lines, "%5.0f s  %d cameras  %d frames/s  %.2f MB/s  %d frames  %d different  %d missing\n",
				time.Since(began).Seconds(), cameras, now.Frames-before.Frames,
				float64(now.Bytes-before.Bytes)/1e6, now.Frames, now.Different, now.Gaps+now.Unknown)
			before = now
		case err := <-ended:
			return finished(o, account, reader, time.Since(began), err)
		}
	}
}

func finished(o options, account *Account, reader *Reader, took time.Duration, err error) (int, error) {
	totals := account.totals()
	summary := struct {
		Seconds     float64 `json:"seconds"`
		Connections int64   `json:"connections"`
		Totals
		*Account
	}{took.Seconds(), reader.Connections, totals, account}
	if o.isJSON {
		text, err := json.Marshal(summary)
		if err != nil {
			return 1, err
		}
		fmt.Println(string(text))
	} else {
		fmt.Printf("%d frames of %d cameras, %d different, %d doubled, %d holes without a word, %d connections\n",
			totals.Frames, len(account.Cameras), totals.Different, totals.Doubled, totals.Untold, reader.Connections)
	}
	if err != nil {
		return codeOf(err), err
	}
	if !totals.isGood() {
		return 1, errors.New("the stream broke a promise: see the counts of different, doubled and missing frames")
	}
	return 0, nil
}

func codeOf(err error) int {
	if errors.Is(err, errNotRunning) {
		return 3
	}
	if status.Code(err) == codes.InvalidArgument || errors.As(err, &usageError{}) {
		return 2
	}
	return 1
}

func main() {
	o, err := parseOptions(os.Args[1:])
	code := 2
	if err == nil {
		code, err = run(o)
	}
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		text := err.Error()
		if answer, isGrpc := status.FromError(err); isGrpc {
			text = fmt.Sprintf("the broker refused: %s", answer.Message())
		}
		fmt.Fprintln(os.Stderr, "trueframe-frames:", text)
	}
	os.Exit(code)
}
