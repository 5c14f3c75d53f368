package transfer

import (
	"context"
	"path/filepath"
	"sync"
)

// perDisk is how many batches a spinning disk serves at once: with more it
// moves its heads more than it reads.
const perDisk = 2

// disks bounds how many copy at once from or to each spinning disk.
type disks struct {
	// find names the spinning disk of a directory; false where it is none, or
	// that cannot be told.
	find func(dir string) (disk string, ok bool)

	mu    sync.Mutex
	found map[string]string // the disk of each directory, "" for none
	slots map[string]chan struct{}
}

func newDisks(find func(string) (string, bool)) *disks {
	return &disks{find: find, found: map[string]string{}, slots: map[string]chan struct{}{}}
}

// acquire waits until each disk of the jobs has a place for one more. The
// places are taken in one order, so that no two wait for each other.
func (d *disks) acquire(ctx context.Context, jobs []*job) (release func(), err error) {
	var taken []chan struct{}
	release = func() {
		for _, slot := range taken {
			<-slot
		}
	}
	for _, slot := range d.of(jobs) {
		select {
		case slot <- struct{}{}:
			taken = append(taken, slot)
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
	return release, nil
}

func (d *disks) of(jobs []*job) []chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := map[string]bool{}
	for _, j := range jobs {
		for _, it := range j.items {
			for _, path := range []string{it.From, it.To} {
				if disk := d.disk(filepath.Dir(path)); disk != "" {
					names[disk] = true
				}
			}
		}
	}
	var out []chan struct{}
	for _, name := range keys(names) {
		if d.slots[name] == nil {
			d.slots[name] = make(chan struct{}, perDisk)
		}
		out = append(out, d.slots[name])
	}
	return out
}

func (d *disks) disk(dir string) string {
	disk, ok := d.found[dir]
	if !ok {
		if disk, ok = d.find(dir); !ok {
			disk = ""
		}
		d.found[dir] = disk
	}
	return disk
}
