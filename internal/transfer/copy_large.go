package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/durable"
)

// largeCopy is the copy of one file that is not small.
type largeCopy struct {
	*copier
	in     *os.File
	fi     fs.FileInfo // of in, before anything was read
	out    *durable.Staged
	staged string
	lazy   bool

	at     int64     // bytes of out that are written
	sum    hash.Hash // of them; nil with VerifySize
	state  copyState // what state files say about the two files
	keeps  bool      // whether there is a state file that helps a later run
	behind *writeBehind
}

// mark is a place up to which the file shall be synced and its state kept.
type mark struct {
	at   int64
	hash []byte
}

func (c *copier) copyLarge(ctx context.Context, in *os.File, fi fs.FileInfo, staged string, lazy bool) (fileResult, error) {
	l := &largeCopy{copier: c, in: in, fi: fi, staged: staged, lazy: lazy}
	got := fileResult{Size: fi.Size(), ModTime: fi.ModTime(), Hashed: c.verify == VerifyHash}
	if l.resumable() {
		// What a kill has left of writing the state file.
		if err := c.fs.Sweep(filepath.Dir(staged), filepath.Base(staged)+stateSuffix); err != nil {
			return got, err
		}
		if s, done := l.resume(got.Hashed); done {
			got.Hashed = len(s.Sum) == sha256.Size
			copy(got.Sum[:], s.Sum)
			c.add(got.Size)
			return got, changed(in, fi)
		}
	}
	if l.out == nil {
		if err := l.begin(got.Hashed); err != nil {
			return got, err
		}
	}
	err := l.carry(ctx)
	if err == nil && l.sum != nil {
		l.sum.Sum(got.Sum[:0])
	}
	if err == nil {
		err = l.complete(got)
	}
	if err != nil {
		return got, l.giveUp(err)
	}
	return got, nil
}

// resumable tells whether a later run could go on with the file.
func (l *largeCopy) resumable() bool { return !l.lazy && l.fi.Size() >= l.sizes.resume }

// resume finds out what an earlier run has left. With done it is all, and the
// state tells of it; else l.out is open if there is something to go on with.
// Whatever cannot be gone on with is replaced, so that nothing here is an error.
func (l *largeCopy) resume(hashed bool) (s copyState, done bool) {
	s, ok := readState(l.staged)
	if !ok {
		return s, false
	}
	fi, err := os.Lstat(l.staged)
	if err != nil || !s.matches(l.fi, fi) {
		return s, false
	}
	if s.Offset == s.Size {
		return s, s.complete(fi, hashed) // or somebody touched it, or its hash is wanted
	}
	var sum hash.Hash
	if hashed {
		if sum, err = resumeHash(s.Hash); err != nil {
			return s, false // it was copied without a hash
		}
	}
	out, err := l.fs.Restage(l.staged)
	if err != nil {
		return s, false
	}
	l.out, l.at, l.sum, l.keeps = out, s.Offset, sum, true
	l.state = newState(l.fi, fi)
	l.add(l.at)
	return s, false
}

// begin starts from nothing.
func (l *largeCopy) begin(hashed bool) error {
	if err := l.removeState(l.staged); err != nil {
		return err
	}
	out, err := l.stageNew(l.staged)
	if err != nil {
		return err
	}
	fi, err := out.File().Stat()
	if err != nil {
		out.Discard()
		return err
	}
	l.out, l.state = out, newState(l.fi, fi)
	if hashed {
		l.sum = sha256.New()
	}
	return nil
}

// carry copies what is missing, while a second goroutine syncs each step of it
// and notes that.
func (l *largeCopy) carry(ctx context.Context) error {
	behind, err := newWriteBehind(l.staged, l.sizes.window, l.at)
	if err != nil {
		return err
	}
	l.behind = behind
	marks := make(chan mark, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.keep(marks) })
	g.Go(func() error {
		defer close(marks)
		return l.fill(ctx, marks)
	})
	return g.Wait()
}

// keep ends with marks, not with the ctx: what was copied before an
// interruption is worth its sync.
func (l *largeCopy) keep(marks <-chan mark) error {
	for m := range marks {
		if err := l.out.Sync(); err != nil {
			return err
		}
		s := l.state
		s.Offset, s.Hash = m.at, m.hash
		if err := l.writeState(l.staged, s); err != nil {
			return err
		}
		l.keeps = true
	}
	return nil
}

// toMark is how many bytes follow offset at up to the next mark.
func (l *largeCopy) toMark(at int64) int64 {
	return min(l.fi.Size()-at, l.sizes.step-at%l.sizes.step)
}

// isMark tells whether a mark belongs at offset at; none is needed at the end.
func (l *largeCopy) isMark(at int64) bool {
	return l.resumable() && at%l.sizes.step == 0 && at < l.fi.Size()
}

// wrote takes note of n more bytes in out, and puts a mark behind them.
func (l *largeCopy) wrote(ctx context.Context, marks chan<- mark, n int64, hash []byte) error {
	l.at += n
	l.add(n)
	l.behind.upTo(l.at)
	if !l.isMark(l.at) {
		return nil
	}
	m := mark{l.at, hash}
	select {
	case marks <- m:
		return nil
	default:
	}
	select {
	case marks <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// complete makes sure that the copy is whole, syncs it and says so in its state.
func (l *largeCopy) complete(got fileResult) error {
	if err := changed(l.in, l.fi); err != nil {
		return err
	}
	fi, err := l.out.File().Stat()
	if err != nil {
		return err
	}
	if fi.Size() != got.Size {
		return fmt.Errorf("wrote %d bytes to %s, and it has %d", got.Size, l.staged, fi.Size())
	}
	if err := finish(l.out, l.fi, l.lazy); err != nil {
		return err
	}
	l.behind.close()
	l.behind = nil
	if err := l.out.Close(); err != nil || !l.resumable() {
		return err
	}
	s := l.state
	s.Offset = s.Size
	if got.Hashed {
		s.Sum = got.Sum[:]
	}
	return l.writeState(l.staged, s)
}

// giveUp leaves the files only if a later run can go on with them.
func (l *largeCopy) giveUp(err error) error {
	if l.behind != nil {
		l.behind.f.Close()
	}
	if l.keeps && !errors.As(err, new(*changedError)) {
		l.out.File().Close() // the state says what of it counts
		return err
	}
	if rerr := l.removeState(l.staged); rerr != nil {
		err = errors.Join(err, rerr)
	}
	l.out.Discard()
	return err
}
