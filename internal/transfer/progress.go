package transfer

import (
	"slices"
	"sync"
	"sync/atomic"

	"damocles-manager/internal/sector"
)

// Progress is how far a run is. One goroutine may ask it while others work;
// counting costs atomic adds only. The zero value is ready.
type Progress struct {
	sectors, sectorsTotal atomic.Int64
	bytes, bytesTotal     atomic.Int64

	mu      sync.Mutex
	running []*running
}

type running struct {
	id    sector.ID
	total int64
	bytes atomic.Int64
}

// Snapshot is the progress at one moment. The totals are 0 until they are known.
type Snapshot struct {
	Sectors, SectorsTotal int64
	// Bytes that were copied, of those that have to be: renames count none.
	// Bytes that an earlier run had copied of a large file count as well.
	Bytes, BytesTotal int64
	// Running are the sectors that are being copied, in the order of their start.
	Running []Running
}

// Running is a sector that is being copied.
type Running struct {
	ID           sector.ID
	Bytes, Total int64
}

// Snapshot returns the progress now.
func (p *Progress) Snapshot() Snapshot {
	s := Snapshot{
		Sectors: p.sectors.Load(), SectorsTotal: p.sectorsTotal.Load(),
		Bytes: p.bytes.Load(), BytesTotal: p.bytesTotal.Load(),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.running {
		s.Running = append(s.Running, Running{ID: r.id, Bytes: r.bytes.Load(), Total: r.total})
	}
	return s
}

// start enters a sector with total bytes to copy; done takes it out again.
func (p *Progress) start(id sector.ID, total int64) (add func(int64), done func()) {
	r := &running{id: id, total: total}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = append(p.running, r)
	add = func(n int64) {
		r.bytes.Add(n)
		p.bytes.Add(n)
	}
	return add, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running = slices.DeleteFunc(p.running, func(x *running) bool { return x == r })
	}
}
