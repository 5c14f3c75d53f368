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
// never, and the asking cannot be stopped: it is left behind, once for each store, and
// whoever asks meanwhile waits for the same answer.
type disks struct {
	ask     func(*damocles.StoreInfo) error
	timeout time.Duration

	mu     sync.Mutex
	asked  map[string]*question // by path
	asking sync.WaitGroup       // nobody waits for it
}

// question is one that was asked and has no answer yet.
type question struct {
	since time.Time
	done  chan struct{}
	disk  damocles.StoreInfo // after done: what the file system says
	err   error
}

func newDisks() *disks {
	ask := func(s *damocles.StoreInfo) error { return s.ReadDisk(nil) }
	return &disks{ask: ask, timeout: diskTimeout, asked: map[string]*question{}}
}

// read fills the sizes in.
func (d *disks) read(ctx context.Context, info damocles.StoreInfo, by []damocles.Reservation) (damocles.StoreInfo, error) {
	info.SetReserved(by)
	q := d.question(info.Path)
	late := time.NewTimer(d.timeout - time.Since(q.since))
	defer late.Stop()
	select {
	case <-q.done:
		info.Type, info.Total, info.Free = q.disk.Type, q.disk.Total, q.disk.Free
		info.Used, info.UsedPercent = q.disk.Used, q.disk.UsedPercent
		return info, q.err
	case <-ctx.Done():
		return info, ctx.Err()
	case <-late.C:
		return info, errNoAnswer
	}
}

// question is the one under way about a path, or a new one.
func (d *disks) question(path string) *question {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.asked[path]; q != nil {
		return q
	}
	q := &question{since: time.Now(), done: make(chan struct{}), disk: damocles.StoreInfo{Path: path}}
	d.asked[path] = q
	d.asking.Go(func() {
		q.err = d.ask(&q.disk)
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.asked, path)
		close(q.done)
	})
	return q
}
