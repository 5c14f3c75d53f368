package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

// key stands for a sector, its size, a plan, a CommR, and the sector's files: their
// paths, sizes and times. What changes one of them changes the key.
type key [sha256.Size]byte

// MarshalText writes it in hexadecimal.
func (k key) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *key) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(k) {
		return fmt.Errorf("%q is no key", b)
	}
	_, err := hex.Decode(k[:], b)
	return err
}

// saved is a result of an earlier run.
type saved struct {
	findings []post.Finding
	omitted  int
}

// resumeHead is the first line of the file, resumeLine each further one.
type resumeHead struct {
	Type    string `json:"type"`
	Version int    `json:"version"`
}

type resumeLine struct {
	Key      key            `json:"key"`
	Sector   string         `json:"sector"`
	Plan     string         `json:"plan"`
	CommR    string         `json:"commR,omitempty"`
	Verdict  string         `json:"verdict"`
	Findings []post.Finding `json:"findings,omitempty"`
	Omitted  int            `json:"omitted,omitempty"`
}

var headLine = resumeHead{"sectors-check", 1}

// maxLine is more than the findings of a sector can take: some for each of at most
// 20 files, each with a path.
const maxLine = 8 << 20

// syncEvery is how much work an interruption of the machine may cost.
const syncEvery = 5 * time.Second

// Resume keeps the results of a check in a file of JSON lines, to which lines are
// only ever added, so that a later run need not read sectors again that have not
// changed since.
type Resume struct {
	fs   durable.FS
	f    *os.File
	done map[key]saved

	mu     sync.Mutex
	synced time.Time
}

// OpenResume opens the file, or makes it where there is none. A line that was not
// written whole is cut off.
func OpenResume(ctx context.Context, dfs durable.FS, path string) (*Resume, error) {
	r := &Resume{fs: dfs, done: map[key]saved{}, synced: time.Now()}
	end, size, err := r.load(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err = r.create(path); err != nil {
			return nil, fault.New("name a file in a directory that you may write to", "make the file of results: %w", err)
		}
	case err != nil:
		return nil, err
	case end < size:
		if err := dfs.Truncate(path, end); err != nil {
			return nil, fmt.Errorf("cut the torn last line off %s: %w", path, err)
		}
	}
	if r.f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return nil, fault.New("name a file that you may write to", "open the file of results: %w", err)
	}
	return r, nil
}

func (r *Resume) create(path string) error {
	f, err := r.fs.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	line, err := json.Marshal(headLine)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	if err != nil {
		return err
	}
	return f.Commit()
}

// load reads the lines, and returns where the last whole one ends.
func (r *Resume) load(ctx context.Context, path string) (end, size int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	foreign := func(why string) error {
		return fault.Refuse("name a file that check has made with --resume, or a new one", "%s is no file of results: %s", path, why)
	}
	if !info.Mode().IsRegular() {
		return 0, 0, foreign("it is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, fault.New("name a file that you may read and write", "open the file of results: %w", err)
	}
	defer f.Close()
	end, why, err := r.lines(ctx, f)
	switch {
	case err != nil && ctx.Err() == nil:
		return 0, 0, fmt.Errorf("read %s: %w", path, err)
	case why != "":
		return 0, 0, foreign(why)
	}
	return end, info.Size(), err
}

// lines takes in all that are whole, and returns where they end; why says that this
// is no file of results.
func (r *Resume) lines(ctx context.Context, f io.Reader) (end int64, why string, err error) {
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 0, 256<<10), maxLine)
	in.Split(func(data []byte, _ bool) (int, []byte, error) {
		if n := bytes.IndexByte(data, '\n') + 1; n > 0 {
			return n, data[:n], nil
		}
		return 0, nil, nil // more of the line, or, at the end, one that is torn
	})
	for n := 1; in.Scan(); n++ {
		if ctx.Err() != nil {
			return 0, "", ctx.Err()
		}
		if why := r.line(n, in.Bytes()); why != "" {
			return 0, why, nil
		}
		end += int64(len(in.Bytes()))
	}
	switch err := in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return 0, "it has a line that is too long for a result", nil
	case err == nil && end == 0:
		return 0, "it has no first line of ours", nil
	default:
		return end, "", err
	}
}

// line takes a line in; what is wrong with it otherwise.
func (r *Resume) line(n int, raw []byte) string {
	if n == 1 {
		var head resumeHead
		if err := json.Unmarshal(raw, &head); err != nil || head != headLine {
			return "its first line is not ours, or of another version"
		}
		return ""
	}
	var l resumeLine
	// A line that lost its findings, but not its verdict, would make a good sector of a bad one.
	if err := json.Unmarshal(raw, &l); err != nil || l.Key == (key{}) || l.Verdict != verdictOf(l.Findings).String() {
		return fmt.Sprintf("line %d is no result", n)
	}
	r.done[l.Key] = saved{l.Findings, l.Omitted}
	return ""
}

// Len is how many results there are from earlier runs.
func (r *Resume) Len() int { return len(r.done) }

func (r *Resume) find(k key) (saved, bool) {
	s, ok := r.done[k]
	return s, ok
}

// add appends a result, and syncs now and then.
func (r *Resume) add(k key, plan Plan, s *SectorReport) error {
	l := resumeLine{Key: k, Sector: s.ID.String(), Plan: plan.String(), Findings: s.Findings, Omitted: s.Omitted,
		Verdict: verdictOf(s.Findings).String()}
	if !s.CommR.IsZero() {
		l.CommR = post.CommRToCID(s.CommR).String()
	}
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.fs.Step("write", r.f.Name())
	if err == nil {
		_, err = r.f.Write(append(raw, '\n'))
	}
	if err == nil && time.Since(r.synced) > syncEvery {
		err = r.sync()
	}
	if err != nil {
		return fmt.Errorf("keep a result in %s: %w", r.f.Name(), err)
	}
	return nil
}

func (r *Resume) sync() error {
	r.synced = time.Now()
	if err := r.fs.Step("sync", r.f.Name()); err != nil {
		return err
	}
	return r.f.Sync()
}

// Close makes what was kept durable.
func (r *Resume) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(r.sync(), r.f.Close()); err != nil {
		return fmt.Errorf("close %s: %w", r.f.Name(), err)
	}
	return nil
}

// fingerprint looks at the sector's files, and makes the key.
func (a *auditor) fingerprint(ctx context.Context, shape post.Shape, r *SectorReport) (key, error) {
	paths := []string{r.Replica, r.Cache}
	for _, name := range append([]string{sector.PAuxName, sector.TAuxName}, shape.TreeNames()...) {
		paths = append(paths, filepath.Join(r.Cache, name))
	}
	return within(ctx, a, func(context.Context, func()) (key, error) {
		h := sha256.New()
		fmt.Fprintf(h, "%s %d\n%s\n%s\n", r.ID, shape.Size, a.Plan, r.CommR)
		for i, path := range paths {
			info, err := a.FS.Stat(path)
			switch {
			case err != nil:
				fmt.Fprintf(h, "%q %v\n", path, err)
			case i == 1: // whatever lies in the directory besides does not count
				fmt.Fprintf(h, "%q %t\n", path, info.IsDir())
			default:
				fmt.Fprintf(h, "%q %v %d ", path, info.Mode(), info.Size())
				h.Write(binary.LittleEndian.AppendUint64(nil, uint64(info.ModTime().UnixNano())))
				h.Write(binary.LittleEndian.AppendUint64(nil, uint64(durable.Changed(info))))
			}
		}
		return key(h.Sum(nil)), nil
	})
}
