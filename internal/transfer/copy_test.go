package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"damocles-manager/internal/durable"
)

// tinySizes make a file of a few thousand bytes one of many chunks.
var tinySizes = copySizes{small: 1000, buffer: 256, window: 512, resume: 2048, step: 1024}

// steps counts the steps of a copy by their names, and lets a test act at one.
type steps struct {
	mu   sync.Mutex
	list []string
	at   func(n int, op, path string) error // n counts from 0; may be nil
}

func (s *steps) fs() durable.FS {
	return durable.FS{Fault: func(op, path string) error {
		s.mu.Lock()
		n := len(s.list)
		s.list = append(s.list, op)
		s.mu.Unlock()
		if s.at == nil {
			return nil
		}
		return s.at(n, op, path)
	}}
}

func (s *steps) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, o := range s.list {
		if o == op {
			n++
		}
	}
	return n
}

func noErr(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// memoryDir is a directory on a file system where syncing costs nothing.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "transfer") //nolint:usetesting // it has to be on another file system
	if err != nil {
		t.Skipf("skipped: no file system in memory: %v", err)
	}
	t.Cleanup(func() { noErr(t, os.RemoveAll(dir)) })
	return dir
}

// newSource makes a file of random bytes, with mode, times and owner of its own.
func newSource(t *testing.T, dir string, size int) (path string, content []byte) {
	t.Helper()
	path, content = filepath.Join(dir, "source"), make([]byte, size)
	seed := [32]byte{byte(size)}
	_, _ = rand.NewChaCha8(seed).Read(content)
	noErr(t, os.WriteFile(path, content, 0o600), os.Chmod(path, 0o444))
	if os.Geteuid() == 0 {
		noErr(t, os.Chown(path, 65534, 65533))
	}
	noErr(t, os.Chtimes(path, time.Unix(1_500_000_000, 123_456_789), time.Unix(1_600_000_000, 987_654_321)))
	return path, content
}

// checkCopy holds the staged file and the result against the source.
func checkCopy(t *testing.T, src, staged string, content []byte, got fileResult, verify Verify) {
	t.Helper()
	data, err := os.ReadFile(staged)
	if err != nil || !bytes.Equal(data, content) {
		t.Errorf("content differs: %d bytes, want %d, %v", len(data), len(content), err)
	}
	from, err := os.Stat(src)
	noErr(t, err)
	to, err := os.Stat(staged)
	noErr(t, err)
	if from.Mode() != to.Mode() || !from.ModTime().Equal(to.ModTime()) {
		t.Errorf("attributes: got %v %v, want %v %v", to.Mode(), to.ModTime(), from.Mode(), from.ModTime())
	}
	f, o := from.Sys().(*syscall.Stat_t), to.Sys().(*syscall.Stat_t)
	if f.Uid != o.Uid || f.Gid != o.Gid {
		t.Errorf("owner: got %d:%d, want %d:%d", o.Uid, o.Gid, f.Uid, f.Gid)
	}
	want := fileResult{Size: int64(len(content)), ModTime: from.ModTime()}
	if verify == VerifyHash {
		want.Hashed, want.Sum = true, sha256.Sum256(content)
	}
	if got != want {
		t.Errorf("result: got %+v, want %+v", got, want)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	noErr(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	return got
}

func TestCopyFile(t *testing.T) {
	disk := func(t *testing.T) string { return t.TempDir() }
	places := []struct {
		name     string
		from, to func(*testing.T) string
	}{
		{"disk", disk, disk}, {"disk to memory", disk, memoryDir},
		{"memory to disk", memoryDir, disk}, {"memory", memoryDir, memoryDir},
	}
	const mib = 1 << 20
	sizes := []int{0, 1, 64, 2048, 64<<10 + 1, mib - 1, mib, mib + 1, 9*mib + 1}
	for _, place := range places {
		for _, verify := range []Verify{VerifySize, VerifyHash} {
			for i, size := range sizes {
				t.Run(fmt.Sprintf("%s/%s/%d", place.name, verify, size), func(t *testing.T) {
					t.Parallel()
					testCopy(t, defaultSizes, place.from(t), place.to(t), size, verify, i%2 == 0)
				})
			}
			for _, size := range []int{999, 1000, 1024, 2047, 2048, 3072, 5000} {
				t.Run(fmt.Sprintf("%s/%s/tiny %d", place.name, verify, size), func(t *testing.T) {
					t.Parallel()
					testCopy(t, tinySizes, place.from(t), place.to(t), size, verify, false)
				})
			}
		}
	}
}

func testCopy(t *testing.T, sizes copySizes, from, to string, size int, verify Verify, lazy bool) {
	src, content := newSource(t, from, size)
	staged := filepath.Join(to, "staged")
	var done atomic.Int64
	c := newCopierOf(sizes, durable.FS{}, nil, verify).counting(func(n int64) { done.Add(n) })
	got, err := c.copyFile(t.Context(), src, staged, lazy)
	noErr(t, err)
	checkCopy(t, src, staged, content, got, verify)
	if done.Load() != int64(size) {
		t.Errorf("counted %d bytes, want %d", done.Load(), size)
	}
	noErr(t, readBackErr(t, c, staged, got), c.forget(staged, got.Size))
	left := slices.DeleteFunc(names(t, to), func(n string) bool { return n == "source" || n == "staged" })
	if len(left) != 0 {
		t.Errorf("left %v", left)
	}
	whole, err := c.hashFile(t.Context(), src)
	noErr(t, err)
	if want := (fileResult{got.Size, got.ModTime, sha256.Sum256(content), true}); whole != want {
		t.Errorf("hash: got %+v, want %+v", whole, want)
	}
}

// A sector of 2 KiB has a dozen of small files: each call counts.
func TestSmallFilesTakeFewSteps(t *testing.T) {
	dir := memoryDir(t)
	src, _ := newSource(t, dir, 2048)
	want := []string{"open", "create", "read", "write", "chown", "setattr", "sync", "close"}
	if os.Geteuid() != 0 {
		want = slices.Delete(want, 4, 5)
	}
	for _, lazy := range []bool{false, true} {
		var s steps
		c := newCopier(s.fs(), nil, VerifyHash, nil)
		_, err := c.copyFile(t.Context(), src, filepath.Join(dir, fmt.Sprint("staged", lazy)), lazy)
		noErr(t, err)
		if lazy {
			want = slices.DeleteFunc(want, func(op string) bool { return op == "sync" })
		}
		if !slices.Equal(s.list, want) {
			t.Errorf("lazy %v: got %v, want %v", lazy, s.list, want)
		}
	}
}

// A state file tells of nothing that is not synced, and the last sync comes
// after the attributes.
func TestLargeFilesAreSyncedBeforeTheirState(t *testing.T) {
	for _, verify := range []Verify{VerifySize, VerifyHash} {
		dir := memoryDir(t)
		src, _ := newSource(t, dir, 5000)
		staged := filepath.Join(dir, "staged")
		var s steps
		var order []string // of the steps that matter
		s.at = func(_ int, op, path string) error {
			switch {
			case op == "rename", path == staged && (op == "sync" || op == "setattr" || op == "close"):
				order = append(order, op)
			}
			return nil
		}
		_, err := newCopierOf(tinySizes, s.fs(), nil, verify).copyFile(t.Context(), src, staged, false)
		noErr(t, err)
		want := []string{
			"sync", "rename", "sync", "rename", "sync", "rename", "sync", "rename", // marks
			"setattr", "sync", "close", "rename",
		}
		if !slices.Equal(order, want) {
			t.Errorf("%s: got %v, want %v", verify, order, want)
		}
	}
}

func TestCopySparseFile(t *testing.T) {
	for _, verify := range []Verify{VerifySize, VerifyHash} {
		dir := t.TempDir()
		src, content := newSource(t, dir, 1<<20)
		content = append(content, make([]byte, 3<<20)...)
		noErr(t, os.Truncate(src, int64(len(content))))
		staged := filepath.Join(dir, "staged")
		var done atomic.Int64
		c := newCopier(durable.FS{}, nil, verify, func(n int64) { done.Add(n) })
		got, err := c.copyFile(t.Context(), src, staged, false)
		noErr(t, err)
		checkCopy(t, src, staged, content, got, verify)
		if done.Load() != 4<<20 {
			t.Errorf("counted %d bytes", done.Load())
		}
	}
}

func TestCopyTakesThePlaceOfWhatWasLeft(t *testing.T) {
	for _, size := range []int{500, 1500, 5000} {
		dir := memoryDir(t)
		src, content := newSource(t, dir, size)
		staged := filepath.Join(dir, "staged")
		noErr(t, os.WriteFile(filepath.Join(dir, "theirs"), []byte("theirs"), 0o600))
		for _, leave := range []func() error{
			func() error { return os.WriteFile(staged, make([]byte, 10_000), 0o400) },
			func() error { return os.Symlink("theirs", staged) },
			func() error { return os.Link(filepath.Join(dir, "theirs"), staged) },
			func() error { return os.Mkdir(staged, 0o700) },
		} {
			noErr(t, os.RemoveAll(staged), leave())
			c := newCopierOf(tinySizes, durable.FS{}, nil, VerifyHash)
			got, err := c.copyFile(t.Context(), src, staged, false)
			noErr(t, err)
			checkCopy(t, src, staged, content, got, VerifyHash)
		}
		if data, _ := os.ReadFile(filepath.Join(dir, "theirs")); string(data) != "theirs" {
			t.Errorf("wrote through a link: %q", data)
		}
	}
}

func TestReadBackFindsDifferences(t *testing.T) {
	for _, size := range []int{1, 2048, 3 << 20} {
		dir := t.TempDir()
		src, _ := newSource(t, dir, size)
		staged := filepath.Join(dir, "staged")
		c := newCopier(durable.FS{}, nil, VerifyHash, nil)
		got, err := c.copyFile(t.Context(), src, staged, false)
		noErr(t, err, os.Chmod(staged, 0o600))
		for _, at := range []int{0, size / 2, size - 1} {
			flip(t, staged, at)
			if err := readBackErr(t, c, staged, got); err == nil {
				t.Errorf("%d bytes: the flipped bit at %d was not found", size, at)
			}
			if err := readBackErr(t, c, staged, fileResult{Size: got.Size}); err != nil {
				t.Errorf("by size: %v", err)
			}
			flip(t, staged, at)
			noErr(t, readBackErr(t, c, staged, got))
		}
		noErr(t, os.Truncate(staged, int64(size-1)))
		if err := readBackErr(t, c, staged, fileResult{Size: got.Size}); err == nil {
			t.Errorf("%d bytes: the missing byte was not found", size)
		}
		noErr(t, os.Remove(staged))
		if err := readBackErr(t, c, staged, got); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("missing: got %v", err)
		}
	}
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	noErr(t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], int64(at))
	b[0] ^= 0x10
	_, werr := f.WriteAt(b[:], int64(at))
	noErr(t, err, werr, f.Sync(), f.Close())
}

func TestReadBackAndHashStepsFailing(t *testing.T) {
	dir := memoryDir(t)
	src, _ := newSource(t, dir, 5000)
	for _, op := range []string{"open", "read"} {
		s := steps{at: func(_ int, o, _ string) error {
			if o == op {
				return syscall.EIO
			}
			return nil
		}}
		c := newCopierOf(tinySizes, s.fs(), nil, VerifyHash)
		if _, err := c.hashFile(t.Context(), src); !errors.Is(err, syscall.EIO) {
			t.Errorf("hash, step %s: got %v", op, err)
		}
		if err := readBackErr(t, c, src, fileResult{Size: 5000, Hashed: true}); !errors.Is(err, syscall.EIO) {
			t.Errorf("read back, step %s: got %v", op, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := newCopier(durable.FS{}, nil, VerifyHash, nil)
	if _, err := c.hashFile(ctx, src); !errors.Is(err, context.Canceled) {
		t.Errorf("hash: got %v", err)
	}
	if _, err := c.copyFile(ctx, src, filepath.Join(dir, "staged"), false); !errors.Is(err, context.Canceled) {
		t.Errorf("copy: got %v", err)
	}
}

func readBackErr(t *testing.T, c *copier, staged string, want fileResult) error {
	t.Helper()
	_, err := c.readBack(t.Context(), staged, want)
	return err
}
