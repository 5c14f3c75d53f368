package transfer

import (
	"errors"
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listDir returns the entries of a directory, links not followed. A store has a
// directory of a dozen files for each of its sectors: asking for them by the
// directory's descriptor takes half the time of asking by their paths.
func listDir(dir string) ([]fs.FileInfo, error) {
	fd, err := openDir(dir)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { _ = unix.Close(fd) }() // only read from
	names, err := readNames(fd)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: dir, Err: err}
	}
	infos := make([]fs.FileInfo, 0, len(names))
	for _, name := range names {
		info, err := statAt(fd, name)
		if err != nil {
			return nil, &fs.PathError{Op: "lstat", Path: dir + "/" + name, Err: err}
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func openDir(dir string) (int, error) {
	for {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func readNames(fd int) ([]string, error) {
	var buf [4096]byte
	names := make([]string, 0, 16)
	for {
		n, err := unix.ReadDirent(fd, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

func statAt(fd int, name string) (fs.FileInfo, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &listed{name: name, st: syscall.Stat_t{
			Dev: st.Dev, Ino: st.Ino, Nlink: st.Nlink, Mode: st.Mode, Uid: st.Uid, Gid: st.Gid, Rdev: st.Rdev,
			Size: st.Size, Blksize: st.Blksize, Blocks: st.Blocks,
			Atim: syscall.Timespec(st.Atim), Mtim: syscall.Timespec(st.Mtim), Ctim: syscall.Timespec(st.Ctim),
		}}, nil
	}
}

// listed is what a directory holds, as os.Lstat would tell it.
type listed struct {
	name string
	st   syscall.Stat_t
}

func (l *listed) Name() string       { return l.name }
func (l *listed) Size() int64        { return l.st.Size }
func (l *listed) ModTime() time.Time { return time.Unix(l.st.Mtim.Unix()) }
func (l *listed) IsDir() bool        { return l.Mode().IsDir() }
func (l *listed) Sys() any           { return &l.st }

func (l *listed) Mode() fs.FileMode {
	mode := fs.FileMode(l.st.Mode & 0o777)
	switch l.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	default:
		mode |= fs.ModeIrregular
	}
	return mode
}
