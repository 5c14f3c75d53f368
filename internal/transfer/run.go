package transfer

import (
	"errors"
	"path/filepath"
	"sync"
)

// run is one run on its way.
type run struct {
	Options
	report   *Report
	events   *events
	copier   *copier
	manifest *manifest // nil in a dry run where there is none
	disks    *disks
	pairs    pairs
	opened   opened
	kept     map[string]bool // staged by an earlier run, to be gone on with
	fresh    map[string]bool // type directories of the target that held nothing at the start

	telling sync.Mutex // held during a call of Journal or Known
	untold  bool       // Known has failed, and is not called again

	mu     sync.Mutex
	reason error // why nothing may be changed any more
}

func newRun(opt Options) (*run, error) {
	if err := opt.defaults(); err != nil {
		return nil, err
	}
	target, err := filepath.Abs(opt.Target)
	if err != nil {
		return nil, err
	}
	opt.Target = target
	r := &run{Options: opt, report: &Report{DryRun: opt.DryRun}, disks: newDisks(spinning), kept: map[string]bool{}, fresh: map[string]bool{}}
	r.events = &events{report: r.report, observe: opt.Observe}
	r.copier = newCopier(opt.FS, newLimiter(opt.BytesPerSecond), opt.Verify, nil)
	return r, nil
}

// breaks ends the run: once it has returned, nothing more is renamed or removed
// but what is being so at this moment.
func (r *run) breaks(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason == nil {
		r.reason = err
	}
	return err
}

// broken returns why the run has ended, or nil.
func (r *run) broken() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason
}

// close ends the run: err is how the work ended.
func (r *run) close(err error) error {
	if r.DryRun {
		return errors.Join(err, r.manifest.closeRead())
	}
	return errors.Join(err, r.tidy(), r.manifest.close())
}

// announce says what will happen to a job.
func (r *run) announce(j *job) {
	list := []Event{{Type: SectorStart, Sector: j.Sector}}
	if j.err == nil {
		for _, it := range j.items {
			for _, f := range it.files {
				if ev, ok := r.fileEvent(j, it, f); ok {
					list = append(list, ev)
				}
			}
		}
	}
	r.events.block(list)
}

// fileEvent says what happens to a file; false for one that only the target has.
func (r *run) fileEvent(j *job, it *item, f *file) (Event, bool) {
	ev := Event{Type: FileEvent, Sector: j.Sector, Kind: it.Kind, From: it.from(f), To: it.to(f), Action: ActionSkip}
	switch {
	case f.src != nil:
		ev.Bytes = f.src.Size()
	case it.way == wayGone:
		ev.Bytes = f.dst.Size()
	default:
		return ev, false
	}
	if it.carried(f) {
		ev.Action = r.action()
	}
	return ev, true
}

func (r *run) action() Action {
	switch {
	case r.Keep && r.DryRun:
		return ActionWouldCopy
	case r.DryRun:
		return ActionWouldMove
	case r.Keep:
		return ActionCopy
	}
	return ActionMove
}

// finish counts a job and tells how it ended.
func (r *run) finish(j *job) {
	r.Progress.sectors.Add(1)
	if j.err != nil {
		r.events.fail(j.Sector, j.err)
		return
	}
	ev := Event{Sector: j.Sector, There: r.there(j), Left: j.left, Renamed: true}
	var files int64
	for _, it := range j.items {
		for _, f := range it.files {
			if it.carried(f) {
				files++
			}
		}
	}
	bytes, any := j.toCopy()
	ev.Bytes, ev.Renamed = bytes, !any && files > 0
	r.events.done(ev, files)
}
