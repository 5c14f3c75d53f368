package killtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that fills up at whichever step: the sizes go from hardly any room to
// nearly enough.
func TestFullDiskHome(t *testing.T) {
	t.Parallel()
	fillDisk(t, "import", 500, 4, 20, 100, 3000, 60000)
	fillDisk(t, "import --override", 100, 20, 4, 500, 3000, 60000)
	fillDisk(t, "import rollback", 20, 60000, 4, 100, 500, 3000)
}

func TestFullDiskRepo(t *testing.T) {
	t.Parallel()
	fillDisk(t, "export", 20, 500, 0, 4, 100, 1500)
	fillDisk(t, "export --override", 100, 3500, 0, 4, 20, 500, 1500, 2500)
	fillDisk(t, "export rollback", 500, 20, 0, 4, 100, 1500)
}

// fillDisk leaves so many KiB on the disk, all of them too few; the first
// where it has to be quick. The home's disk is refused for a lack of 64 MiB, but
// not before it has been written to.
func fillDisk(t *testing.T, name string, rooms ...int64) {
	t.Helper()
	switch {
	case raced && !long():
		rooms = []int64{20}
	case !long():
		rooms = rooms[:1]
	}
	for _, room := range rooms {
		t.Run(fmt.Sprintf("%s, %d KiB", name, room), func(t *testing.T) {
			t.Parallel()
			fullDisk(t, name, room<<10)
		})
	}
}

var (
	noSpace  = regexp.MustCompile(`no space left on device|no room in `)
	nextStep = regexp.MustCompile(`hint: +make room on that disk(, then run the same command again| and repeat the command)`)
)

func fullDisk(t *testing.T, name string, room int64) {
	t.Helper()
	r := newKillRun(t, name, 0, 0)
	disk := filepath.Join(r.dir, r.into)
	resize := mount(t, disk)
	resize(used(t, disk) + room)

	c := run(t, r.args(r.dir)...)
	if c.code != 1 && c.code != 5 {
		t.Fatalf("exit code %d\n%s", c.code, c.report())
	}
	if !noSpace.MatchString(c.stderr.String()) || !nextStep.MatchString(c.stderr.String()) {
		t.Fatalf("it does not say that there is no room, and what to do\n%s", c.report())
	}
	c.exits(c.code)
	// More room, and nothing else: what is there is whole.
	resize(512 << 20)
	r.between()
	if r.into == "dest" {
		same(t, "the repo after a full disk", repoRecords(t, disk, true), r.before.repo)
	}
	r.settled()
	r.finish()
	r.over = true
}

// mount puts what is in dir on a small disk of its own, under the same name.
func mount(t *testing.T, dir string) (resize func(bytes int64)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root, and so no small disk can be mounted")
	}
	aside := dir + ".aside"
	if err := os.Rename(dir, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	must(t, os.Mkdir(dir, 0o700))
	err := unix.Mount("killtest", dir, "tmpfs", 0, "size=512m,mode=0700")
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skipf("mounting is not allowed here: %v", err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	if _, err := os.Stat(aside); err == nil {
		must(t, os.CopyFS(dir, os.DirFS(aside)), os.RemoveAll(aside))
	}
	return func(bytes int64) {
		t.Helper()
		must(t, unix.Mount("killtest", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%d", max(bytes, 4096))))
	}
}

func used(t *testing.T, dir string) int64 {
	t.Helper()
	var stat unix.Statfs_t
	must(t, unix.Statfs(dir, &stat))
	return int64(stat.Blocks-stat.Bfree) * stat.Bsize
}
