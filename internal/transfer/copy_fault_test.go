package transfer

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// Each step of each kind of copy fails, with each error: the error comes out,
// what stays is of use, and the next run completes.
func TestCopyStepsFailing(t *testing.T) {
	for _, as := range []error{syscall.ENOSPC, syscall.EIO, syscall.EACCES} {
		for _, verify := range []Verify{VerifySize, VerifyHash} {
			for _, size := range []int{700, 1500, 5000} {
				n := 0
				for testFault(t, as, verify, size, n) {
					n++
				}
				if n < 8 {
					t.Errorf("only %d steps", n)
				}
			}
		}
	}
}

// testFault fails step n, and tells whether there was one.
func testFault(t *testing.T, as error, verify Verify, size, n int) bool {
	t.Helper()
	from, to := memoryDir(t), memoryDir(t)
	src, content := newSource(t, from, size)
	staged := filepath.Join(to, "staged")
	failed := ""
	s := steps{at: func(i int, op, path string) error {
		if i == n {
			failed = op + " " + filepath.Base(path)
			return &fs.PathError{Op: op, Path: path, Err: as}
		}
		return nil
	}}
	_, err := newCopierOf(tinySizes, s.fs(), nil, verify).copyFile(t.Context(), src, staged, false)
	if failed == "" {
		noErr(t, err)
		return false
	}
	if !errors.Is(err, as) || fault.HintOf(err) == "" {
		t.Errorf("%s: got %v, hint %q, want %v", failed, err, fault.HintOf(err), as)
	}
	left := names(t, to)
	if len(left) != 0 && !slices.Equal(left, []string{"staged", "staged.state"}) {
		t.Errorf("%s (%v, %s, %d bytes) left %v", failed, as, verify, size, left)
	}
	if len(left) != 0 {
		if st, ok := readState(staged); !ok || st.Offset == 0 {
			t.Errorf("%s left a state of no use: %+v", failed, st)
		}
	}
	c := newCopierOf(tinySizes, durable.FS{}, nil, verify)
	got, err := c.copyFile(t.Context(), src, staged, false)
	noErr(t, err)
	checkCopy(t, src, staged, content, got, verify)
	return true
}

// The steps of going on with a file fail.
func TestResumeStepsFailing(t *testing.T) {
	for n := 0; ; n++ {
		from, to := memoryDir(t), memoryDir(t)
		src, content := newSource(t, from, 5000)
		staged := filepath.Join(to, "staged")
		interrupt(t, src, staged, VerifyHash, 15)
		failed := ""
		s := steps{at: func(i int, op, _ string) error {
			if i == n {
				failed = op
				return syscall.EIO
			}
			return nil
		}}
		c := newCopierOf(tinySizes, s.fs(), nil, VerifyHash)
		// A staged file that cannot be opened again is replaced, which is right, too.
		_, err := c.copyFile(t.Context(), src, staged, false)
		if failed != "" && !errors.Is(err, syscall.EIO) && (n != 1 || err != nil) {
			t.Errorf("step %d (%s): got %v", n, failed, err)
		}
		got, err := newCopierOf(tinySizes, durable.FS{}, nil, VerifyHash).copyFile(t.Context(), src, staged, false)
		noErr(t, err)
		checkCopy(t, src, staged, content, got, VerifyHash)
		if failed == "" {
			return
		}
	}
}

func TestSourceMayNotBeRead(t *testing.T) {
	dir := memoryDir(t)
	src, _ := newSource(t, dir, 100)
	s := steps{at: func(_ int, op, _ string) error {
		if op == "open" {
			return &fs.PathError{Op: "open", Path: src, Err: syscall.EACCES}
		}
		return nil
	}}
	_, err := newCopier(s.fs(), nil, VerifySize, nil).copyFile(t.Context(), src, filepath.Join(dir, "staged"), false)
	if want := "run this as the owner of the files or as root"; fault.HintOf(err) != want {
		t.Errorf("got %v, hint %q, want %q", err, fault.HintOf(err), want)
	}
}
