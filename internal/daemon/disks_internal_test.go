package daemon

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/damocles"
)

// A disk that hangs costs one caller the timeout, and nobody after that, until it
// answers again.
func TestDiskHangs(t *testing.T) {
	hang := make(chan struct{})
	d := newDisks()
	d.timeout = 20 * time.Millisecond
	d.ask = func(s *damocles.StoreInfo) error {
		if s.Path == "/dead" {
			<-hang
		}
		s.Total = 7
		return nil
	}
	dead := damocles.StoreInfo{Path: "/dead"}
	for range 3 {
		if _, err := d.read(t.Context(), dead, nil); !errors.Is(err, errNoAnswer) {
			t.Errorf("got %v", err)
		}
	}
	d.timeout = time.Minute // a disk that is well may be slow
	if got, err := d.read(t.Context(), damocles.StoreInfo{Path: "/well"}, nil); err != nil || got.Total != 7 {
		t.Errorf("another one: %+v, %v", got, err)
	}
	close(hang)
	d.asking.Wait()
	if got, err := d.read(t.Context(), dead, nil); err != nil || got.Total != 7 {
		t.Errorf("after it came back: %+v, %v", got, err)
	}
}

// Many who ask at once are all answered: one that is being asked does not hang.
func TestDisksAskedAtOnce(t *testing.T) {
	d := newDisks()
	answer := make(chan struct{})
	d.ask = func(s *damocles.StoreInfo) error {
		<-answer
		s.Total = 7
		return nil
	}
	var g errgroup.Group
	for i := range 50 {
		g.Go(func() error {
			name := fmt.Sprint(i) // two stores may be on one path
			by := []damocles.Reservation{{By: name, Size: uint64(i)}}
			got, err := d.read(t.Context(), damocles.StoreInfo{Path: "/slow", Name: name}, by)
			if err == nil && (got.Total != 7 || got.Name != name || got.Reserved != uint64(i)) {
				err = fmt.Errorf("got %+v", got)
			}
			return err
		})
	}
	time.Sleep(20 * time.Millisecond)
	close(answer)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
