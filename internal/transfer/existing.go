package transfer

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// compare settles an object that both sides have: what is at the target stays
// as it is, is proven equal, and may be completed.
func (r *run) compare(ctx context.Context, s Sector, it *item) error {
	known := r.manifest.find(s.ID, it.Kind)
	it.way = wayThere
	for _, f := range it.files {
		switch {
		case f.src == nil:
			continue
		case f.dst == nil:
			it.way = wayFill
			continue
		}
		if err := r.same(ctx, it, f, known); err != nil {
			return err
		}
		f.equal = true
	}
	if !it.Kind.IsDir() {
		return whole(it.To, s.Size, it.Kind, it.dst)
	}
	// An interrupted removal leaves a part of the source, and the target whole.
	union := side{}
	for _, f := range it.files {
		union.files = append(union.files, sideFile{name: f.name})
	}
	if err := whole(it.To, s.Size, it.Kind, union); err != nil {
		return fmt.Errorf("neither side is whole: %w", err)
	}
	return nil
}

// same proves that a file at the target is the one at the source.
func (r *run) same(ctx context.Context, it *item, f *file, known *record) error {
	if sameFile(f.src, f.dst) {
		return r.sameInode(it, f)
	}
	if f.src.Size() != f.dst.Size() {
		return differs(it.to(f), "%d bytes, and %d at the source", f.dst.Size(), f.src.Size())
	}
	entry := known.file(f.name)
	entered := entry.matches(f.dst) && entry.matches(f.src) && !changedSince(f)
	if entered && (r.Verify == VerifySize || r.TrustSize || entry.Sum != nil) {
		f.got = entry.result()
		return nil
	}
	if r.DryRun {
		return nil
	}
	if !r.Keep {
		if err := r.settle(it.to(f)); err != nil {
			return err
		}
	}
	if r.TrustSize {
		return nil
	}
	return r.sameHash(ctx, it, f)
}

// changedSince says whether the source may be other than what was copied, though it
// has the old time of modification: a backup that is restored in place sets that back.
func changedSince(f *file) bool { return durable.Changed(f.src) > durable.Changed(f.dst) }

// sameFile is os.SameFile for what listDir returns, too.
func sameFile(a, b fs.FileInfo) bool {
	x, ok := a.Sys().(*syscall.Stat_t)
	y, ok2 := b.Sys().(*syscall.Stat_t)
	return ok && ok2 && x.Dev == y.Dev && x.Ino == y.Ino
}

// settle makes a file that others wrote survive a power cut before its source
// goes, and has it read from the disk when it is hashed.
func (r *run) settle(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = r.FS.Step("sync", path)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	dropCache(f, 0, 0)
	return nil
}

func (r *run) sameHash(ctx context.Context, it *item, f *file) error {
	c := *r.copier
	c.follow = r.Keep
	src, err := c.hashFile(ctx, it.from(f))
	if err != nil {
		return err
	}
	c.follow = false
	dst, err := c.hashFile(ctx, it.to(f))
	if err != nil {
		return err
	}
	if src.Sum != dst.Sum {
		return differs(it.to(f), "the SHA-256 %x, and the source %x", dst.Sum, src.Sum)
	}
	f.got = src
	return nil
}

func differs(path, format string, args ...any) error {
	return fault.New("find out which one is right, and move the other away: nothing is overwritten",
		"%s is there already, and differs: it has "+format, append([]any{path}, args...)...)
}

// sameInode is for one file under both names. Where a file system has no rename
// that refuses to replace, a replica is moved by a second name and then the
// removal of the first, and that may be interrupted between them. The probes
// have shown that both directories are not one, and within one mount no name
// lies over another: so the target's name stays when the source's goes.
func (r *run) sameInode(it *item, f *file) error {
	st, ok := f.src.Sys().(*syscall.Stat_t)
	if !it.Kind.IsDir() && !r.Keep && !r.DryRun && ok && st.Nlink > 1 && sameMount(it.From, it.To) {
		return nil
	}
	return fault.New("choose a target that is not the source under another name",
		"%s is the source itself, %s", it.to(f), it.from(f))
}

// copies says whether a file has to be copied by it.
func (it *item) copies(f *file) bool {
	return f.src != nil && f.dst == nil && (it.way == wayCopy || it.way == wayFill)
}

// pending says whether a file still has to be staged and published.
func (it *item) pending(f *file) bool { return it.copies(f) && !it.published }

// carried are the files that this item moves or copies, by whichever way.
func (it *item) carried(f *file) bool {
	return it.copies(f) || (it.way == wayRename && f.src != nil)
}

// toCopy is how many bytes of the job have to be copied.
func (j *job) toCopy() (bytes int64, any bool) {
	for _, it := range j.items {
		for _, f := range it.files {
			if it.copies(f) {
				bytes += f.src.Size()
				any = true
			}
		}
	}
	return bytes, any
}

// there says that nothing is left to do.
func (r *run) there(j *job) bool {
	for _, it := range j.items {
		switch {
		case it.way == wayGone || (it.way == wayThere && r.Keep):
		case it.way == wayThere && !slices.ContainsFunc(it.files, func(f *file) bool { return f.src != nil }):
			// What is left at the source is nothing that is carried.
		default:
			return false
		}
	}
	return true
}
