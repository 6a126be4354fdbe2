package main

import (
	"crypto/sha256"
	"testing"

	pb "trueframe.example/frames/trueframev1"
)

func frame(epoch, seq int64, payload string) *pb.Item {
	digest := sha256.Sum256([]byte(payload))
	id := &pb.FrameId{Camera: "gate", Epoch: epoch, Seq: seq}
	return &pb.Item{Kind: &pb.Item_Frame{Frame: &pb.Frame{Id: id, Payload: []byte(payload), Digest: digest[:]}}}
}

func gap(reason pb.GapReason, count *int64) *pb.Item {
	return &pb.Item{Kind: &pb.Item_Gap{Gap: &pb.Gap{Camera: "gate", Reason: reason, Count: count}}}
}

func TestStreamsAreJudgedByTheirItems(t *testing.T) {
	three := int64(3)
	changed := frame(1, 0, "picture")
	changed.GetFrame().Payload = []byte("Picture")
	for name, trial := range map[string]struct {
		items                          []*pb.Item
		different, doubled, holes, gap int64
	}{
		"in order":              {[]*pb.Item{frame(1, 7, "a"), frame(1, 8, "b"), frame(2, 0, "c")}, 0, 0, 0, 0},
		"other bytes":           {[]*pb.Item{changed}, 1, 0, 0, 0},
		"the same once more":    {[]*pb.Item{frame(1, 7, "a"), frame(1, 7, "a")}, 0, 1, 0, 0},
		"an older one":          {[]*pb.Item{frame(2, 0, "a"), frame(1, 9, "a")}, 0, 1, 0, 0},
		"a hole":                {[]*pb.Item{frame(1, 7, "a"), frame(1, 9, "b")}, 0, 0, 1, 0},
		"a later epoch's start": {[]*pb.Item{frame(1, 7, "a"), frame(2, 4, "b")}, 0, 0, 1, 0},
		"a hole that was told": {
			[]*pb.Item{frame(1, 7, "a"), gap(pb.GapReason_GAP_REASON_OVERRUN, &three), frame(1, 11, "b")}, 0, 0, 0, 3,
		},
	} {
		account := newAccount()
		for _, item := range trial.items {
			account.take(item)
		}
		got := account.totals()
		if got.Different != trial.different || got.Doubled != trial.doubled || got.Untold != trial.holes ||
			got.Gaps != trial.gap {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestResumesBehindTheLastFrameOfEveryCamera(t *testing.T) {
	account := newAccount()
	account.take(frame(1, 7, "a"))
	account.take(frame(2, 0, "b"))
	starts := account.starts()
	if len(starts) != 1 || starts[0].GetAfter().GetEpoch() != 2 || starts[0].GetAfter().GetSeq() != 0 {
		t.Errorf("%v", starts)
	}
}

func TestGapsOfUnknownCountAreNotAddedUp(t *testing.T) {
	account := newAccount()
	account.take(gap(pb.GapReason_GAP_REASON_BROKER_LOST, nil))
	if got := account.totals(); got.Gaps != 0 || got.Unknown != 1 {
		t.Errorf("%+v", got)
	}
	if account.Cameras["gate"].Unknown["broker_lost"] != 1 {
		t.Errorf("%+v", account.Cameras["gate"])
	}
}
