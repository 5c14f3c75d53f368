package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"damocles-manager/internal/fault"
)

// VerifyOnly holds what is at the target against its manifest: sizes, times of
// modification and, of files entered with one, the SHA-256 read from the disk.
// It changes nothing and looks at no source. Each file has an event with
// ActionGood, ActionBad or ActionUnknown; a sector with a bad file counts as
// Failed, one with an object that is not in the manifest as Unknown, and each
// other as Done. Of the options it takes Target, Jobs, BytesPerSecond, FS, Log,
// Observe and Progress. A target without a manifest is refused.
func VerifyOnly(ctx context.Context, opt Options, sectors Sectors) (*Report, error) {
	opt.Verify, opt.Keep = VerifyHash, true
	r, err := newRun(opt)
	if err != nil {
		return &Report{}, err
	}
	if r.manifest, err = readManifest(r.Target); err != nil {
		return r.report, err
	}
	if r.manifest == nil {
		return r.report, fault.Refuse("export files to it first: that writes the manifest",
			"there is no manifest in %s", r.Target)
	}
	var n int64
	for _, err := range sectors() {
		if err != nil {
			return r.report, errors.Join(err, r.manifest.closeRead())
		}
		n++
	}
	r.Progress.sectorsTotal.Store(n)
	err = r.each(ctx, sectors, r.verifyAll)
	return r.report, errors.Join(err, r.manifest.closeRead())
}

func (r *run) verifyAll(ctx context.Context, sectors []Sector) error {
	release, err := r.disks.acquire(ctx, targetsOf(sectors))
	if err != nil {
		return err
	}
	defer release()
	for _, s := range sectors {
		v := &verification{run: r, sector: s}
		v.events = []Event{{Type: SectorStart, Sector: s}}
		for _, o := range s.Objects {
			v.object(ctx, o)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		v.end()
	}
	return nil
}

// targetsOf has jobs that use only the disks of the target.
func targetsOf(sectors []Sector) []*job {
	j := &job{}
	for _, s := range sectors {
		for _, o := range s.Objects {
			j.items = append(j.items, &item{Object: Object{From: o.To, To: o.To}})
		}
	}
	return []*job{j}
}

// verification is what is found out about one sector.
type verification struct {
	*run
	sector  Sector
	events  []Event
	unknown bool
	without bool  // a hash in the manifest
	bad     error // the first
	files   int64
	bytes   int64
}

func (v *verification) object(ctx context.Context, o Object) {
	rec := v.manifest.find(v.sector.ID, o.Kind)
	if rec == nil {
		v.unknown = true
		v.add(Event{Action: ActionUnknown, Kind: o.Kind, To: o.To})
		return
	}
	for _, e := range rec.Files {
		path := filepath.Join(o.To, e.Name)
		ev := Event{Action: ActionGood, Kind: o.Kind, To: path, Bytes: e.Size}
		if ev.Err = v.file(ctx, path, e); ev.Err != nil {
			ev.Action = ActionBad
			if v.bad == nil {
				v.bad = ev.Err
			}
		}
		v.add(ev)
		v.without = v.without || e.Sum == nil
		v.files++
	}
}

func (v *verification) add(ev Event) {
	ev.Type, ev.Sector = FileEvent, v.sector
	v.events = append(v.events, ev)
}

// file holds one file against its entry.
func (v *verification) file(ctx context.Context, path string, e entry) error {
	const hint = "restore it: its source, if it was kept, or a copy of it"
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(hint, "%s is missing", path)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fault.New(hint, "%s is not a regular file", path)
	case info.Size() != e.Size:
		return fault.New(hint, "%s has %d bytes, and had %d", path, info.Size(), e.Size)
	}
	if e.Sum != nil {
		if err := v.limited(ctx, e.Size); err != nil {
			return err
		}
		want := e.result()
		if _, err := v.copier.readBack(ctx, path, want); err != nil {
			return fault.New(hint, "it is not what the manifest says: %w", err)
		}
		v.bytes += e.Size
		v.Progress.bytes.Add(e.Size)
	}
	if !info.ModTime().Equal(e.Mtime) {
		return fault.New("find out who wrote to it since", "%s was modified at %s, and is entered with %s",
			path, info.ModTime().UTC().Format(time.RFC3339Nano), e.Mtime.Format(time.RFC3339Nano))
	}
	return nil
}

// limited waits for the time that so many bytes take.
func (v *verification) limited(ctx context.Context, n int64) error {
	if err := v.copier.limit.wait(ctx, n); err != nil {
		return fmt.Errorf("wait for the bandwidth: %w", err)
	}
	return nil
}

// end tells how the sector is, all at once.
func (v *verification) end() {
	v.Progress.sectors.Add(1)
	r := v.run.events
	r.block(v.events)
	if v.bad != nil {
		r.fail(v.sector, v.bad)
		return
	}
	r.verified(v)
}

func (e *events) verified(v *verification) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report.Total++
	e.report.Files += v.files
	e.report.Bytes += v.bytes
	if v.unknown {
		e.report.Unknown++
	} else {
		e.report.Done++
		if v.without {
			e.report.Unhashed++
		}
	}
	e.observe(Event{Type: SectorDone, Sector: v.sector, Bytes: v.bytes})
}
