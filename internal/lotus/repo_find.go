package lotus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"damocles-manager/internal/fault"
)

// The names inside a repo, with forward slashes.
const (
	repoLockName = "repo.lock"
	metadataName = "datastore/metadata"
	metaLockName = metadataName + "/LOCK"
)

// FindRepo returns the absolute path of the lotus-miner repo that flag names,
// or else LOTUS_MINER_PATH, or LOTUS_STORAGE_PATH, or ~/.lotusminer; the first
// that is set must be a repo. getenv is os.Getenv, or a test's.
func FindRepo(flag string, getenv func(string) string) (dir string, err error) {
	home := getenv("HOME")
	for _, from := range []struct{ name, path string }{
		{"--repo", flag},
		{"LOTUS_MINER_PATH", getenv("LOTUS_MINER_PATH")},
		{"LOTUS_STORAGE_PATH", getenv("LOTUS_STORAGE_PATH")},
		{"the default", "~/.lotusminer"},
	} {
		if from.path == "" {
			continue
		}
		if home == "" && inHome(from.path) {
			return "", fault.New("name the repo in full, with --repo DIR or LOTUS_MINER_PATH", "%s: HOME is not set", from.path)
		}
		dir, err := filepath.Abs(expandHome(from.path, home))
		if err != nil {
			return "", err
		}
		return dir, checkRepoDir(dir, from.name)
	}
	return "", nil // not reached: the default is set
}

func inHome(path string) bool { return path == "~" || strings.HasPrefix(path, "~/") }

func expandHome(path, home string) string {
	if inHome(path) {
		return filepath.Join(home, path[1:])
	}
	return path
}

// checkRepoDir makes lotus's own test of whether dir is a repo. source says who
// named it, or is "".
func checkRepoDir(dir, source string) error {
	for _, name := range []string{"datastore", "keystore"} {
		_, err := os.Stat(filepath.Join(dir, name))
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return readError(fmt.Errorf("look for a lotus-miner repo: %w", err))
		}
	}
	hint := "name the directory of a lotus-miner repo, as in --dest-repo /root/.lotusminer"
	if source != "" {
		source, hint = " (from "+source+")", "name the repo with --repo DIR or LOTUS_MINER_PATH"
	}
	return fault.New(hint,
		"no lotus-miner repo at %s%s: it holds neither datastore nor keystore", dir, source)
}

// readError adds the next step to an error of reading a file.
func readError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fault.New("run this as the user who owns the repo, or as root", "%w", err)
	}
	return err
}

// InUse says who has a repo open.
type InUse struct {
	PID int    // 0: unknown
	By  string // the lock that says so: "repo.lock" or "datastore/metadata/LOCK"
}

func (u *InUse) String() string {
	if u.PID == 0 {
		return fmt.Sprintf("a process of unknown pid (it holds %s)", u.By)
	}
	return fmt.Sprintf("process %d (it holds %s)", u.PID, u.By)
}

// refuse is the error of a repo that something else has open.
func (u *InUse) refuse(dir string) error {
	return fault.Refuse("stop lotus-miner first", "repo %s is in use by %s", dir, u)
}

// Running tells who has the repo dir open for writing; nil is nobody. It takes
// neither of the two locks away from anyone: repo.lock is only asked for, and
// the database's lock is tried shared for a moment only if nobody is known to
// hold either. A repo that this process opened for writing is in use, too.
func Running(dir string) (*InUse, error) {
	metaLock := filepath.Join(dir, metaLockName)
	held, pid, err := recordLocked(filepath.Join(dir, repoLockName))
	if err != nil {
		return nil, readError(fmt.Errorf("probe %s: %w", repoLockName, err))
	}
	if held {
		if pid == 0 {
			pid = flockOwner(metaLock, false)
		}
		return &InUse{PID: pid, By: repoLockName}, nil
	}
	held, pid, err = flocked(metaLock)
	if err != nil {
		return nil, readError(fmt.Errorf("probe %s: %w", metaLockName, err))
	}
	if held {
		return &InUse{PID: pid, By: metaLockName}, nil
	}
	return nil, nil
}

// takeLock takes repo.lock as lotus-miner does: an empty file, locked, and
// removed at the end. One that a crash left behind is taken over.
func (r *Repo) takeLock() error {
	path := filepath.Join(r.dir, repoLockName)
	f, err := r.openLockFile(path)
	if err != nil {
		return readError(fmt.Errorf("lock the repo: %w", err))
	}
	if err := r.lockFile(f, path); err != nil {
		return errors.Join(err, f.Close())
	}
	r.lock = f
	return r.fs.Sweep(r.dir, repoLockName)
}

func (r *Repo) openLockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	// Made by way of durable, so that it has the right owner from the start:
	// lotus-miner could not open one that root left behind.
	empty, err := r.fs.Create(path)
	if err != nil {
		return nil, err
	}
	defer empty.Discard()
	if err := empty.Commit(); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

func (r *Repo) lockFile(f *os.File, path string) error {
	if err := lockRecord(f); errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		_, pid, _ := recordLocked(path)
		return (&InUse{PID: pid, By: repoLockName}).refuse(r.dir)
	} else if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	is, err := f.Stat()
	if err != nil {
		return err
	}
	if is.Size() > 0 {
		return fault.Refuse("look at what wrote into it, and remove it; lotus-miner would not start with it either",
			"%s is not empty", path)
	}
	// Whoever had it before may have removed it between our opening and locking.
	if named, err := os.Stat(path); err != nil || !os.SameFile(is, named) {
		return fault.Refuse("run this again", "repo %s was just closed by another process", r.dir)
	}
	return nil
}

// APIInfo returns the multiaddress and the admin token that lotus-miner left in
// its repo. The api file is there only while it runs, or after a crash; then
// the error wraps fs.ErrNotExist, as it does without a token.
func APIInfo(dir string) (addr, token string, err error) {
	addr, err = readSmall(filepath.Join(dir, "api"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fault.New("start lotus-miner, or name its API with --api",
			"lotus-miner is not running: %w", err)
	}
	if err != nil {
		return "", "", err
	}
	token, err = readSmall(filepath.Join(dir, "token"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fault.New("give a token with --token or --token-file; lotus-miner auth create-token --perm admin makes one",
			"the repo has no token: %w", err)
	}
	return addr, token, err
}

// readSmall returns a file of one line without the white space around it. An
// empty one is an error.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", readError(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return "", err
	}
	if b = bytes.TrimSpace(b); len(b) == 0 {
		return "", fmt.Errorf("%s is empty", path)
	}
	return string(b), nil
}
