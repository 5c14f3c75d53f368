package post

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"damocles-manager/internal/sector"
)

var (
	// errBad says that a finding was added, and that the check can go on elsewhere.
	errBad = errors.New("the file cannot be used")
	// errTimeout says that the finding timeout was added, and that the check ends.
	errTimeout = errors.New("reading takes too long")
)

// opened is a file of the sector.
type opened struct {
	path string
	file File
}

func (v *visit) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if v.timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, v.timeout, errTimeout)
}

// reach runs one call into the file system; its errors are errTimeout, that of
// ctx, and those of the file system.
func reach[T any](ctx context.Context, v *visit, path string, fn func() (T, error), drop func(T)) (T, error) {
	if v.perRead {
		var cancel context.CancelFunc
		ctx, cancel = v.limited(ctx)
		defer cancel()
	}
	out, err := call(ctx, v.pending, fn, drop)
	if err == nil || ctx.Err() == nil {
		return out, err
	}
	if !errors.Is(context.Cause(ctx), errTimeout) {
		return out, ctx.Err()
	}
	v.found(Finding{Timeout, path, -1, fmt.Sprintf("no answer within %s: the disk or the network file system hangs, "+
		"and a prover would wait as well; nothing is said about the files that were not read", v.timeout), nil})
	return out, errTimeout
}

// stat returns errBad, with a finding, where there is nothing of the right kind.
func (v *visit) stat(ctx context.Context, path string, missing Finding, dir bool) (fs.FileInfo, error) {
	info, err := reach(ctx, v, path, func() (fs.FileInfo, error) { return v.fs.Stat(path) }, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		missing.File, missing.Offset = path, -1
		v.found(missing)
		return nil, errBad
	case err != nil:
		return nil, v.failed(ctx, path, -1, err)
	case dir && !info.IsDir():
		v.found(Finding{NotADirectory, path, -1, "a file stands where the sector's cache directory belongs; the provers find no p_aux and no tree", nil})
		return nil, errBad
	case !dir && info.IsDir():
		v.found(Finding{NotAFile, path, -1, "a directory stands where a file belongs; look for the file inside it, or restore it from a copy", nil})
		return nil, errBad
	case !dir && !info.Mode().IsRegular():
		v.found(Finding{NotAFile, path, -1, fmt.Sprintf("this is no file but a %s; restore the file from a copy", info.Mode().Type()), nil})
		return nil, errBad
	}
	return info, nil
}

// failed turns an error of the file system into a finding and errBad; what ends
// the check passes through.
func (v *visit) failed(ctx context.Context, path string, offset int64, err error) error {
	if errors.Is(err, errTimeout) || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, fs.ErrPermission) {
		v.found(Forbidden(path, err))
		return errBad
	}
	text := fmt.Sprintf("cannot be read: %v", err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		text = "the file ends before this place: it became shorter while it was read"
	}
	v.found(Finding{ReadError, path, offset, text, err})
	return errBad
}

// Forbidden is the finding that this user may not read a file.
func Forbidden(path string, err error) Finding {
	return Finding{NoPermission, path, -1, fmt.Sprintf("this user may not read it (%v): run this as the user of the prover; "+
		"if that is this one, it cannot prove the sector until it may", err), err}
}

func (v *visit) open(ctx context.Context, path string) (*opened, error) {
	f, err := reach(ctx, v, path, func() (File, error) { return v.fs.Open(path) }, func(f File) { f.Close() })
	if err != nil {
		return nil, v.failed(ctx, path, -1, err)
	}
	return &opened{path, f}, nil
}

// read returns n bytes at the offset, or errBad and a finding. The buffer belongs
// to the read, so that one which was given up can write to it for ever.
func (v *visit) read(ctx context.Context, f *opened, offset, n int64) ([]byte, error) {
	buf, err := reach(ctx, v, f.path, func() ([]byte, error) {
		buf := make([]byte, n)
		got, err := f.file.ReadAt(buf, offset)
		if int64(got) == n {
			return buf, nil
		}
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}, nil)
	if err != nil {
		return nil, v.failed(ctx, f.path, offset, err)
	}
	v.mu.Lock()
	v.report.Reads++
	v.report.Bytes += n
	v.mu.Unlock()
	return buf, nil
}

// goOn drops errBad: the finding is there, and the check goes on.
func goOn(err error) error {
	if errors.Is(err, errBad) {
		return nil
	}
	return err
}

func (v *visit) openReplica(ctx context.Context) error {
	path, want := v.sector.Replica, int64(v.sector.Shape.Size)
	info, err := v.stat(ctx, path, Finding{Name: MissingReplica,
		Text: "the replica is not there: the sector cannot be proven until it is put back from a copy"}, false)
	if err != nil {
		return goOn(err)
	}
	if got := info.Size(); got != want {
		v.found(Finding{ReplicaSize, path, -1, sizeText(got, want) + "; copy the replica again", nil})
		return nil
	}
	v.replica, err = v.open(ctx, path)
	return goOn(err)
}

func sizeText(got, want int64) string {
	switch {
	case got == 0:
		return fmt.Sprintf("the file is empty, %d bytes are wanted", want)
	case got < want:
		return fmt.Sprintf("the file is truncated: %d bytes of %d", got, want)
	default:
		return fmt.Sprintf("the file is too long: %d bytes where %d are wanted", got, want)
	}
}

func (v *visit) openCache(ctx context.Context) error {
	dir := v.sector.Cache
	if _, err := v.stat(ctx, dir, Finding{Name: MissingCache,
		Text: "the cache directory is not there: the sector cannot be proven until it is put back from a copy"}, true); err != nil {
		return goOn(err)
	}
	if err := v.readPAux(ctx, filepath.Join(dir, sector.PAuxName)); err != nil {
		return err
	}
	if err := v.lookForTAux(ctx, filepath.Join(dir, sector.TAuxName)); err != nil {
		return err
	}
	names := v.sector.Shape.TreeNames()
	v.trees = make([]tree, len(names))
	for i, name := range names {
		if err := v.openTree(ctx, i, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// lookForTAux notes that t_aux is not there: PoSt never reads it.
func (v *visit) lookForTAux(ctx context.Context, path string) error {
	info, err := reach(ctx, v, path, func() (fs.FileInfo, error) { return v.fs.Stat(path) }, nil)
	if err == nil && info.Mode().IsRegular() {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return goOn(v.failed(ctx, path, -1, err))
	}
	v.found(Finding{TAuxAbsent, path, -1, "there is no file t_aux: no proof needs it, but damocles refuses to attach such a sector", nil})
	return nil
}
