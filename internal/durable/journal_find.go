package durable

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const journalExt = ".journal"

// JournalName is the file name of a journal begun by command at t.
func JournalName(command string, t time.Time) string {
	return command + "-" + t.UTC().Format("20060102T150405.000000000Z") + journalExt
}

// Latest returns the path of the journal in dir that was started last, among
// those that keep wants, and "" if there is none or no dir.
func Latest(dir string, keep func(h Header, ended bool) bool) (path string, err error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find journals: %w", err)
	}
	var newest time.Time
	for _, e := range names {
		// Ours are never hidden; a hidden one is the temporary name of one
		// that was not made.
		if !strings.HasSuffix(e.Name(), journalExt) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		p := filepath.Join(dir, e.Name())
		h, ended, err := peek(p)
		if err != nil {
			return "", err
		}
		if keep(h, ended) && (path == "" || !h.Started.Before(newest)) {
			path, newest = p, h.Started
		}
	}
	return path, nil
}

// peek reads the header and the last line only.
func peek(path string) (Header, bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return Header{}, false, fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	var r JournalReader
	l := &lineReader{r: bufio.NewReader(f)}
	line, err := l.next()
	if err == nil {
		err = r.check(l, line)
	}
	if err != nil {
		return Header{}, false, fmt.Errorf("journal %s, line 1: %w", path, err)
	}
	tail := make([]byte, 256) // an end line has less than 80
	fi, err := f.Stat()
	if err != nil {
		return Header{}, false, err
	}
	n, err := f.ReadAt(tail, max(0, fi.Size()-int64(len(tail))))
	if err != nil && !errors.Is(err, io.EOF) {
		return Header{}, false, fmt.Errorf("read journal %s: %w", path, err)
	}
	tail = tail[:n]
	last := bytes.LastIndexByte(bytes.TrimSuffix(tail, []byte("\n")), '\n') + 1
	ended := bytes.HasPrefix(tail[last:], []byte(`{"type":"end"`)) && bytes.HasSuffix(tail, []byte("\n"))
	return r.Header, ended, nil
}
