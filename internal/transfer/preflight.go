package transfer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// refuse checks, without changing anything, what would make the whole run fail.
func (r *run) refuse(s *survey) error {
	for _, dir := range append([]string{r.Target}, s.to...) {
		if err := checkTarget(dir); err != nil {
			return err
		}
	}
	for _, dir := range s.from {
		if err := r.checkSource(dir); err != nil {
			return err
		}
	}
	return checkSpace(s.need)
}

func checkTarget(dir string) error {
	at := nearest(dir)
	info, err := os.Stat(at)
	if err != nil {
		return fault.Refuse("see to it that the target can be reached", "look at the target: %w", err)
	}
	if !info.IsDir() {
		return fault.Refuse("name a directory, or move it away", "%s is a file, and should be a directory", at)
	}
	if err := durable.CheckOwner(dir); err != nil {
		return err
	}
	return access(at, unix.W_OK|unix.X_OK, "write to")
}

// checkSource lets a directory pass that is not there: that is the sectors' own
// failure.
func (r *run) checkSource(dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // each sector in it will say so
	}
	if r.Keep {
		return access(dir, unix.X_OK, "read")
	}
	return access(dir, unix.W_OK|unix.X_OK, "remove from")
}

func access(dir string, mode uint32, what string) error {
	err := unix.Access(dir, mode)
	if err == nil {
		return nil
	}
	hint := "run this as the owner of the directory or as root"
	if errors.Is(err, unix.EROFS) {
		hint = "mount it writable"
	}
	return fault.Refuse(hint, "cannot %s %s: %w", what, dir, err)
}

// checkSpace holds what is needed against what is free, with one in a hundred
// to spare.
func checkSpace(need map[string]space) error {
	type volume struct {
		dir  string
		need space
	}
	volumes := map[uint64]*volume{}
	dirs := make([]string, 0, len(need))
	for dir := range need {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		at := nearest(dir)
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("look at the free space: %w", err)
		}
		dev := uint64(0)
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			dev = uint64(st.Dev) //nolint:unconvert // it has another size elsewhere
		}
		if volumes[dev] == nil {
			volumes[dev] = &volume{dir: at}
		}
		v := volumes[dev]
		v.need.bytes += need[dir].bytes
		v.need.inodes += need[dir].inodes
	}
	for _, v := range volumes {
		if err := checkVolume(v.dir, v.need); err != nil {
			return err
		}
	}
	return nil
}

func checkVolume(dir string, need space) error {
	if need.inodes == 0 {
		return nil
	}
	free, ok := freeSpace(dir)
	if !ok {
		return nil // the file system does not say
	}
	bytes := need.bytes + need.bytes/100
	if free.bytes < bytes {
		return fault.Refuse("make room there, or take fewer sectors with --numbers",
			"not enough space at %s: %d bytes are needed, %d are free", dir, bytes, free.bytes)
	}
	if free.inodes >= 0 && free.inodes < need.inodes {
		return fault.Refuse("remove files there, or take fewer sectors with --numbers",
			"not enough inodes at %s: %d files are needed, %d are free", dir, need.inodes, free.inodes)
	}
	return nil
}

// opened is what open has made, so that a refusal can undo it.
type opened struct {
	fetching []string // by this run or another, ours to remove when empty
	made     []string // directories, outermost first
}

// mkdir makes a directory, and notes which ones were missing.
func (r *run) mkdir(dir string) error {
	var missing []string
	for d, at := dir, nearest(dir); d != at; d = filepath.Dir(d) {
		missing = append(missing, d)
	}
	slices.Reverse(missing)
	r.opened.made = append(r.opened.made, missing...)
	return r.FS.MkdirAll(dir, 0o755)
}
