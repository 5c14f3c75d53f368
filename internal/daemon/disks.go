package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"damocles-manager/internal/damocles"
)

// diskTimeout is how long a disk may take to say how full it is.
const diskTimeout = 5 * time.Second

var errNoAnswer = errors.New("its disk does not answer")

// disks asks how full stores are. A network file system whose server is gone answers
// never, and the asking cannot be stopped: it is left behind, once for each store.
type disks struct {
	ask     func(*damocles.StoreInfo, []damocles.Reservation) error
	timeout time.Duration

	mu      sync.Mutex
	waiting map[string]bool // for an answer
	asking  sync.WaitGroup  // nobody waits for it
}

func newDisks() *disks {
	return &disks{ask: (*damocles.StoreInfo).ReadDisk, timeout: diskTimeout, waiting: map[string]bool{}}
}

type disk struct {
	info damocles.StoreInfo
	err  error
}

// read fills the sizes in.
func (d *disks) read(ctx context.Context, info damocles.StoreInfo, by []damocles.Reservation) (damocles.StoreInfo, error) {
	d.mu.Lock()
	if d.waiting[info.Path] {
		d.mu.Unlock()
		return info, errNoAnswer
	}
	d.waiting[info.Path] = true
	d.mu.Unlock()
	answer := make(chan disk, 1)
	d.asking.Go(func() {
		err := d.ask(&info, by)
		d.mu.Lock()
		delete(d.waiting, info.Path)
		d.mu.Unlock()
		answer <- disk{info, err}
	})
	select {
	case a := <-answer:
		return a.info, a.err
	case <-ctx.Done():
		return damocles.StoreInfo{}, ctx.Err()
	case <-time.After(d.timeout):
		return damocles.StoreInfo{}, errNoAnswer
	}
}
