package durable

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"damocles-manager/internal/fault"
)

// maxLine bounds a journal's line in bytes; a value of 100 MB fits.
const maxLine = 256 << 20

// JournalReader reads a journal that nothing writes to meanwhile.
type JournalReader struct {
	Header Header
	Ended  bool

	path string
	runs []int64 // offset of the first line after each run line
	end  int64   // offset after the last whole line
	torn bool    // whether anything follows it
}

// OpenJournal reads the journal through once and checks each line. A last line
// that was not written whole is left out, since nobody was told that it was
// written; any other bad line is an error that names the file and the line.
func OpenJournal(path string) (*JournalReader, error) {
	r := &JournalReader{path: path}
	err := r.scan(0, -1, func(l *lineReader, line []byte) error {
		r.end = l.off
		if err := r.check(l, line); err != nil {
			return fmt.Errorf("journal %s, line %d: %w", path, l.n, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(r.runs) == 0 {
		return nil, fault.New("nothing was changed under it: it may be removed",
			"journal %s has no complete header", path)
	}
	return r, nil
}

// check takes in one line, in the order journal, run, then changes and runs, end.
func (r *JournalReader) check(l *lineReader, line []byte) error {
	kind, err := lineType(line)
	if err != nil {
		return err
	}
	switch first := l.n == 1; {
	case r.Ended:
		return errors.New("a line after the end")
	case first != (kind == "journal"):
		return fmt.Errorf("unexpected line of type %q", kind)
	case first:
		return r.parseHeader(line)
	case kind == "run":
		r.runs = append(r.runs, l.off)
		return nil
	case len(r.runs) == 0:
		return fmt.Errorf("a line of type %q before the first run", kind)
	case kind == "change":
		_, err := parseChange(line)
		return err
	case kind == "end":
		r.Ended = true
		return nil
	}
	return fmt.Errorf("unknown type %q", kind)
}

// lineType spares the many lines a second pass.
func lineType(line []byte) (string, error) {
	if bytes.HasPrefix(line, []byte(`{"type":"change",`)) {
		return "change", nil
	}
	var kind struct{ Type string }
	err := json.Unmarshal(line, &kind)
	return kind.Type, err
}

func (r *JournalReader) parseHeader(line []byte) error {
	var h headerLine
	if err := json.Unmarshal(line, &h); err != nil {
		return err
	}
	if h.Version != journalVersion {
		return fmt.Errorf("version %d, and only %d is known here", h.Version, journalVersion)
	}
	r.Header = Header{h.Command, h.Miner, h.Target, h.Backup, h.Started}
	return nil
}

// EachNewestRunFirst calls fn for each change: the runs from the last to the
// first, and inside a run in the order in which they were noted. It holds one
// line in memory. An error of fn, or ctx's end, stops it and is returned.
func (r *JournalReader) EachNewestRunFirst(ctx context.Context, fn func(Entry) error) error {
	end := r.end
	for i := len(r.runs) - 1; i >= 0; i-- {
		err := r.scan(r.runs[i], end, func(_ *lineReader, line []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if kind, err := lineType(line); err != nil || kind != "change" {
				return err // nil: the run line of the next run, or the end
			}
			e, err := parseChange(line)
			if err != nil {
				return err
			}
			return fn(e)
		})
		if err != nil {
			return err
		}
		end = r.runs[i]
	}
	return nil
}

// scan calls fn for the whole lines from offset from to offset to; -1 is the
// end of the file.
func (r *JournalReader) scan(from, to int64, fn func(*lineReader, []byte) error) error {
	f, err := os.Open(r.path)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return err
	}
	l := &lineReader{r: bufio.NewReaderSize(f, 64<<10), off: from}
	for to < 0 || l.off < to {
		line, err := l.next()
		if errors.Is(err, io.EOF) {
			r.torn = len(line) > 0
			return nil
		}
		if err != nil {
			return fmt.Errorf("read journal %s: %w", r.path, err)
		}
		if err := fn(l, line); err != nil {
			return err
		}
	}
	return nil
}

// lineReader reads lines with a bound on their length.
type lineReader struct {
	r   *bufio.Reader
	buf []byte
	off int64 // offset after the line
	n   int   // number of the line, from 1
}

// next returns the next line without its newline; it is valid until the next
// call. With io.EOF comes what follows the last newline.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	l.n++
	for {
		part, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, part...)
		if len(l.buf) > maxLine {
			return nil, fmt.Errorf("a line is longer than %d bytes", maxLine)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return l.buf, err
		}
		l.off += int64(len(l.buf))
		return l.buf[:len(l.buf)-1], nil
	}
}
