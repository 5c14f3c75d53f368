package transfer

import "os"

// readBehind keeps a file that is read once from filling the machine's memory.
type readBehind struct {
	f       *os.File
	window  int64
	dropped int64
}

// upTo is called with the offset up to which f was read.
func (r *readBehind) upTo(at int64) {
	if n := at - r.dropped; n >= r.window {
		dropCache(r.f, r.dropped, n)
		r.dropped = at
	}
}

// writeLag is how many windows may be on their way to the disk: enough that it
// never waits for us.
const writeLag = 4

// writeBehind has the disk write a file while it is still being copied, so that
// the sync at the end is short and memory does not fill up with it. Its f is a
// second descriptor of the file: a failed write is told to each descriptor
// once, and it must be Sync who is told.
type writeBehind struct {
	f                *os.File
	window           int64
	started, dropped int64
}

func newWriteBehind(path string, window, at int64) (*writeBehind, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &writeBehind{f: f, window: window, started: at, dropped: at}, nil
}

// upTo is called with the offset up to which the file was written.
func (w *writeBehind) upTo(at int64) {
	for ; at-w.started >= w.window; w.started += w.window {
		startWriteOut(w.f, w.started, w.window)
	}
	for ; w.started-w.dropped > writeLag*w.window; w.dropped += w.window {
		awaitWriteOut(w.f, w.dropped, w.window)
		dropCache(w.f, w.dropped, w.window)
	}
}

// close gives up what the cache still has; it comes after the sync.
func (w *writeBehind) close() {
	dropCache(w.f, w.dropped, 0)
	w.f.Close()
}
