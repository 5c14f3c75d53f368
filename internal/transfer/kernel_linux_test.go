package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

func TestTargetIsFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("skipped: mounting is not allowed: %v", err)
	}
	t.Cleanup(func() { noErr(t, syscall.Unmount(dir, 0)) })
	for _, size := range []int{500_000, 2 << 20} {
		for _, verify := range []Verify{VerifySize, VerifyHash} {
			src, _ := newSource(t, t.TempDir(), size)
			_, err := newCopier(durable.FS{}, nil, verify, nil).copyFile(t.Context(), src, filepath.Join(dir, "staged"), false)
			if !errors.Is(err, syscall.ENOSPC) || fault.HintOf(err) == "" {
				t.Errorf("%d bytes, %s: got %v", size, verify, err)
			}
			if got := names(t, dir); len(got) != 0 {
				t.Errorf("%d bytes, %s: left %v", size, verify, got)
			}
		}
	}
}

// 10 windows, and nothing read by hand.
func TestTheKernelCopies(t *testing.T) {
	if got := countReads(t, 5000, VerifySize); got != 10 {
		t.Errorf("%d reads, want 10", got)
	}
	if got := countReads(t, 5000, VerifyHash); got != 20 {
		t.Errorf("with hash %d reads, want 20", got)
	}
}

func TestCopyLeavesTheCacheAlone(t *testing.T) {
	const size = 30 << 20
	for _, verify := range []Verify{VerifySize, VerifyHash} {
		dir := t.TempDir()
		src, _ := newSource(t, dir, size)
		staged := filepath.Join(dir, "staged")
		noErr(t, durable.FS{}.SyncFile(src)) // what is not on the disk stays in memory
		if got := cached(t, src); got < size/2 {
			t.Skipf("skipped: the file system does not cache: %d bytes", got)
		}
		c := newCopier(durable.FS{}, nil, verify, nil)
		got, err := c.copyFile(t.Context(), src, staged, false)
		noErr(t, err, readBackErr(t, c, staged, got))
		for _, path := range []string{src, staged} {
			if got := cached(t, path); got > defaultSizes.window+1<<20 {
				t.Errorf("%s: %s has %d bytes in memory", verify, filepath.Base(path), got)
			}
		}
	}
}

// cached returns how many bytes of the file are in memory.
func cached(t *testing.T, path string) int64 {
	t.Helper()
	f, err := os.Open(path)
	noErr(t, err)
	defer f.Close()
	fi, err := f.Stat()
	noErr(t, err)
	data, err := unix.Mmap(int(f.Fd()), 0, int(fi.Size()), unix.PROT_READ, unix.MAP_SHARED)
	noErr(t, err)
	defer func() { noErr(t, unix.Munmap(data)) }()
	pages := make([]byte, (len(data)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	n := int64(0)
	for _, p := range pages {
		n += int64(p & 1)
	}
	return n * int64(os.Getpagesize())
}
