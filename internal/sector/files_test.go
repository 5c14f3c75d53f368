package sector

import (
	"slices"
	"testing"
)

func TestFileKinds(t *testing.T) {
	sum := FileKind(0)
	for _, kind := range FileKinds() {
		back, ok := ParseFileKind(kind.String())
		if !ok || back != kind {
			t.Errorf("%d: reads its own name %q as %d, %v", kind, kind, back, ok)
		}
		sum |= kind
	}
	if sum != 63 {
		t.Errorf("lotus's mask of all kinds is 63, got %d", sum)
	}
	if _, ok := ParseFileKind("FileKind(3)"); ok {
		t.Error("took a name that no directory has")
	}
}

func TestParseFileName(t *testing.T) {
	for _, id := range []ID{{0, 0}, {1000, 16}, {1<<63 - 1, 1<<63 - 1}} {
		if got, ok := ParseFileName(id.String()); !ok || got != id {
			t.Errorf("%s: got %v, %v", id, got, ok)
		}
	}
	for _, name := range []string{
		"", "junk", "fetching", "s-t01000", "s-t01000-", "s-t0-1", "s-f01000-1", "s-t1000-1",
		"s-t01000-1.tmp", "s-t01000-1-copy", "s-t01000-01", "s-t001000-1", "s-t01000-+1", ".s-t01000-1",
		"s-t01000-9223372036854775808", "s-t01000-18446744073709551616",
	} {
		if id, ok := ParseFileName(name); ok {
			t.Errorf("took %q for %v", name, id)
		}
	}
}

func TestCacheNames(t *testing.T) {
	if got := CacheNames(2048); !slices.Equal(got, []string{"p_aux", "t_aux", "sc-02-data-tree-r-last.dat"}) {
		t.Errorf("2 KiB: %v", got)
	}
	if got := CacheNames(32 << 30); len(got) != 10 || got[9] != "sc-02-data-tree-r-last-7.dat" {
		t.Errorf("32 GiB: %v", got)
	}
	if got := CacheNames(64 << 30); len(got) != 18 || got[17] != "sc-02-data-tree-r-last-15.dat" {
		t.Errorf("64 GiB: %v", got)
	}
}
