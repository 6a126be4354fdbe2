// What was received, and whether it is what the broker promises. Pure: no network, no clock.
package main

import (
	"crypto/sha256"
	"fmt"

	pb "trueframe.example/frames/trueframev1"
)

// Camera is the account of one camera.
type Camera struct {
	Frames    int64            `json:"frames"`
	Bytes     int64            `json:"bytes"`
	Different int64            `json:"different"`
	Doubled   int64            `json:"doubled"`
	Untold    int64            `json:"untold_holes"`
	Damaged   int64            `json:"damaged"`
	Epochs    int64            `json:"epochs"`
	Gaps      map[string]int64 `json:"gap_frames"`
	Unknown   map[string]int64 `json:"gaps_of_unknown_count"`
	First     string           `json:"first"`
	Last      string           `json:"last"`

	last    *pb.FrameId
	epoch   int64
	wasTold bool // a gap stands between the last frame and the next one
}

// Account is the account of all cameras of a stream, over all connections.
type Account struct {
	Cameras map[string]*Camera `json:"cameras"`
	Skipped int64              `json:"items_of_unknown_kind"`
}

func newAccount() *Account { return &Account{Cameras: map[string]*Camera{}} }

func (a *Account) camera(id string) *Camera {
	if known := a.Cameras[id]; known != nil {
		return known
	}
	fresh := &Camera{Gaps: map[string]int64{}, Unknown: map[string]int64{}}
	a.Cameras[id] = fresh
	return fresh
}

// take enters one item. For a frame it returns the SHA-256 that was computed over its payload.
func (a *Account) take(item *pb.Item) (frame *pb.Frame, digest [32]byte) {
	switch kind := item.Kind.(type) {
	case *pb.Item_Frame:
		frame, digest = kind.Frame, sha256.Sum256(kind.Frame.Payload)
		a.camera(frame.Id.Camera).takeFrame(frame, digest)
	case *pb.Item_Gap:
		a.camera(kind.Gap.Camera).takeGap(kind.Gap)
	case *pb.Item_EpochStarted:
		camera := a.camera(kind.EpochStarted.Camera)
		// It is told again to whoever joins or resumes in the middle of an epoch.
		if camera.epoch != kind.EpochStarted.Epoch {
			camera.epoch = kind.EpochStarted.Epoch
			camera.Epochs++
		}
	case *pb.Item_EpochEnded:
	default:
		a.Skipped++
	}
	return frame, digest
}

func (c *Camera) takeFrame(frame *pb.Frame, digest [32]byte) {
	id := frame.Id
	c.Frames++
	c.Bytes += int64(len(frame.Payload))
	if string(digest[:]) != string(frame.Digest) {
		c.Different++
	}
	if frame.Damaged {
		c.Damaged++
	}
	name := fmt.Sprintf("%s/%d/%d", id.Camera, id.Epoch, id.Seq)
	if c.last == nil {
		c.First = name
	} else {
		isBehind := id.Epoch > c.last.Epoch || id.Epoch == c.last.Epoch && id.Seq > c.last.Seq
		isNext := id.Epoch == c.last.Epoch && id.Seq == c.last.Seq+1 || id.Epoch > c.last.Epoch && id.Seq == 0
		switch {
		case !isBehind:
			c.Doubled++
		case !isNext && !c.wasTold:
			c.Untold++
		}
	}
	c.last, c.Last, c.wasTold = id, name, false
}

func (c *Camera) takeGap(gap *pb.Gap) {
	reason := gapName(gap.Reason)
	if gap.Count == nil {
		c.Unknown[reason]++
	} else {
		c.Gaps[reason] += *gap.Count
	}
	c.wasTold = true
}

// starts are the places to resume at: behind the last frame of every camera.
func (a *Account) starts() []*pb.CameraStart {
	var starts []*pb.CameraStart
	for id, camera := range a.Cameras {
		if camera.last != nil {
			after := &pb.CameraStart_After{After: camera.last}
			starts = append(starts, &pb.CameraStart{Camera: id, From: after})
		}
	}
	return starts
}

// Totals are the sums over all cameras.
type Totals struct {
	Frames    int64 `json:"frames"`
	Bytes     int64 `json:"bytes"`
	Different int64 `json:"different"`
	Doubled   int64 `json:"doubled"`
	Untold    int64 `json:"untold_holes"`
	Gaps      int64 `json:"gap_frames"`
	Unknown   int64 `json:"gaps_of_unknown_count"`
}

func (a *Account) totals() Totals {
	var sum Totals
	for _, camera := range a.Cameras {
		sum.Frames += camera.Frames
		sum.Bytes += camera.Bytes
		sum.Different += camera.Different
		sum.Doubled += camera.Doubled
		sum.Untold += camera.Untold
		for _, count := range camera.Gaps {
			sum.Gaps += count
		}
		for _, count := range camera.Unknown {
			sum.Unknown += count
		}
	}
	return sum
}

// isGood says whether every frame was whole, came once, and no frame was missing without a word.
func (t Totals) isGood() bool { return t.Different == 0 && t.Doubled == 0 && t.Untold == 0 }
