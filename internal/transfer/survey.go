package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
)

// pairs remembers for each two type directories whether a rename between them
// should do. There are as many as there are stores and kinds.
type pairs map[[2]string]bool

// renames says whether a rename should carry the object. The rename itself has
// the last word.
func (r *run) renames(o Object) bool {
	return !r.Keep && r.pairs[[2]string{filepath.Dir(o.From), filepath.Dir(o.To)}]
}

func (r *run) renamesAll(s Sector) bool {
	return !slices.ContainsFunc(s.Objects, func(o Object) bool { return !r.renames(o) })
}

// survey is what the first pass over the sectors has found.
type survey struct {
	from, to []string         // type directories, sorted
	need     map[string]space // by type directory of the target
	sectors  int64
	bytes    int64
}

// space is what copies take on a file system.
type space struct {
	bytes, inodes int64
}

const block = 4096 // a file takes whole ones, about

// survey sums up what has to be copied, and learns which directories there are.
// It looks at the target's names only: the sizes follow from the sectors'.
func (r *run) survey(ctx context.Context, sectors Sectors) (*survey, error) {
	s := &survey{need: map[string]space{}}
	r.pairs = pairs{}
	from, to := map[string]bool{}, map[string]bool{}
	for sec, err := range sectors() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		s.sectors++
		for _, o := range sec.Objects {
			if o.stays() { // but an interrupted run may have left something beside it
				to[filepath.Dir(o.To)] = true
				continue
			}
			pair := [2]string{filepath.Dir(o.From), filepath.Dir(o.To)}
			if _, ok := r.pairs[pair]; !ok {
				r.pairs[pair] = sameMount(pair[0], nearest(pair[1]))
				from[pair[0]], to[pair[1]] = true, true
			}
			s.count(sec.Size, o, r.renames(o))
		}
	}
	s.from, s.to = keys(from), keys(to)
	for _, dir := range s.to {
		s.need[dir] = s.need[dir].without(stagedBytes(dir))
	}
	r.Progress.sectorsTotal.Store(s.sectors)
	r.Progress.bytesTotal.Store(s.bytes)
	return s, nil
}

func (s *survey) count(size abi.SectorSize, o Object, renames bool) {
	if renames {
		return
	}
	if _, err := os.Lstat(o.To); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	dir := filepath.Dir(o.To)
	need := s.need[dir]
	if o.Kind.IsDir() {
		files := int64(len(sector.CacheNames(size)))
		need.bytes += cacheBytes(size) + (files+1)*block
		need.inodes += files + 1
		s.bytes += cacheBytes(size)
	} else {
		need.bytes += (int64(size) + block - 1) / block * block
		need.inodes++
		s.bytes += int64(size)
	}
	s.need[dir] = need
}

// cacheBytes is about what a finished cache directory holds: tree R, without
// the two rows above its leaves.
func cacheBytes(size abi.SectorSize) int64 { return int64(size)/448 + 512 }

func (s space) without(staged int64) space {
	s.bytes = max(0, s.bytes-staged)
	return s
}

// stagedBytes is what an interrupted run has left in a type directory.
func stagedBytes(dir string) int64 {
	entries, err := os.ReadDir(filepath.Join(dir, store.FetchingName))
	if err != nil {
		return 0 // nothing there
	}
	var n int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && isOurs(e.Name()) && info.Mode().IsRegular() {
			n += diskBytes(info)
		}
	}
	return n
}

func keys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// nearest returns dir, or its first parent that is there.
func nearest(dir string) string {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
