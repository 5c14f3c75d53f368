package daemon

import (
	"errors"
	"testing"
	"time"

	"damocles-manager/internal/damocles"
)

// A disk that hangs costs one caller the timeout, and nobody after that, until it
// answers again.
func TestDiskHangs(t *testing.T) {
	hang := make(chan struct{})
	d := newDisks()
	d.timeout = 20 * time.Millisecond
	d.ask = func(s *damocles.StoreInfo, _ []damocles.Reservation) error {
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
	if got, err := d.read(t.Context(), damocles.StoreInfo{Path: "/well"}, nil); err != nil || got.Total != 7 {
		t.Errorf("another one: %+v, %v", got, err)
	}
	close(hang)
	d.asking.Wait()
	if got, err := d.read(t.Context(), dead, nil); err != nil || got.Total != 7 {
		t.Errorf("after it came back: %+v, %v", got, err)
	}
}
