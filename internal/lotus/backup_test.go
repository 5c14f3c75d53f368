package lotus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// sampleBackup is one that lotus itself wrote, with one key.
var sampleBackup = mustHex("829f824e2f6d696e65722d616464726573734300e807ff5820" +
	"894ffe21930afd87b42eabb5fc21f2f2e9764b1ad859d44cbdc1bf870d9e1c7b")

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func readAll(data []byte) (map[string]string, error) {
	all := map[string]string{}
	err := ReadBackup(context.Background(), bytes.NewReader(data), func(key, value []byte) error {
		all[string(key)] = string(value)
		return nil
	})
	return all, err
}

func TestBackupOfTheFixture(t *testing.T) {
	r := openRepo(t, copyRepo(t), Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, BackupName(time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)))
	if want := "damocles-manager-20261122T130000.000000000Z.backup.cbor"; filepath.Base(path) != want {
		t.Errorf("name: got %s, want %s", filepath.Base(path), want)
	}
	if err := r.Backup(t.Context(), path, durable.FS{}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(data)
	if want := contents(t, r); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %d keys, %v, want %d", len(got), err, len(want))
	}
	err = r.Backup(t.Context(), path, durable.FS{})
	if !errors.Is(err, fs.ErrExist) || fault.HintOf(err) == "" {
		t.Errorf("over an existing file: got %v", err)
	}
	if again, _ := os.ReadFile(path); !bytes.Equal(again, data) {
		t.Error("an existing backup was changed")
	}
}

// What lotus wrote is what we write.
func TestBackupBytes(t *testing.T) {
	w := openRepo(t, copyRepo(t), Options{Write: true})
	tx, _ := w.Begin()
	for key := range contents(t, w) {
		if key != minerKey {
			noError(t, tx.Delete(key))
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b")
	if err := w.Backup(t.Context(), path, durable.FS{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, sampleBackup) {
		t.Errorf("got %x, want %x", got, sampleBackup)
	}
}

// A backup that did not work leaves nothing that looks like one.
func TestBackupFailing(t *testing.T) {
	r := openRepo(t, copyRepo(t), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if err := r.Backup(ctx, filepath.Join(dir, "b"), durable.FS{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	full := errors.New("no space left")
	for _, op := range []string{"create", "write", "sync", "close", "rename", "syncdir"} {
		s := durable.FS{Fault: func(o, _ string) error {
			if o == op {
				return full
			}
			return nil
		}}
		if err := r.Backup(t.Context(), filepath.Join(dir, "b"), s); !errors.Is(err, full) {
			t.Errorf("%s: got %v", op, err)
		}
	}
	// The disk kept something else than what was written.
	lie := durable.FS{Fault: func(op, _ string) error {
		if op != "write" {
			return nil
		}
		tmp, err := filepath.Glob(filepath.Join(dir, ".b.*"))
		if err != nil || len(tmp) != 1 {
			t.Fatal(tmp, err)
		}
		return os.WriteFile(tmp[0], []byte(strings.Repeat("x", 100_000)), 0o600)
	}}
	if err := r.Backup(t.Context(), filepath.Join(dir, "b"), lie); err == nil || !strings.Contains(err.Error(), "verify") {
		t.Errorf("a disk that lies: got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestReadBackup(t *testing.T) {
	entry := mustHex("83" + "412f" + "4161" + "1a6553f101") // "/" = "a" at some time
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	one := sampleBackup
	for _, test := range []struct {
		name string
		data []byte
		want string // of the keys, or of the error
	}{
		{"sample", one, "[/miner-address]"},
		{"log", join(one, entry, entry), "[/ /miner-address]"},
		{"log with a negative time", join(one, entry[:5], []byte{0x20}), "[/ /miner-address]"},
		{"empty file", nil, "cut off"},
		{"cut off", one[:20], "cut off"},
		{"cut checksum", one[:len(one)-1], "cut off"},
		{"cut log", join(one, entry[:4]), "cut off"},
		{"stray byte", join(one, []byte{0}), "stray byte"},
		{"stray break", join(one, []byte{0xff}), "stray byte"},
		{"log without a time", join(one, entry[:5], []byte{0x40}), "no time"},
		{"wrong checksum", join(one[:len(one)-1], []byte{0}), "checksum is wrong"},
		{"changed value", bytes.Replace(one, []byte{0xe8}, []byte{0xe9}, 1), "checksum is wrong"},
		{"text key", bytes.Replace(one, []byte{0x4e}, []byte{0x6e}, 1), "type 3"},
		{"not shortest", join([]byte{0x82, 0x9f, 0x82, 0x58, 1, 'k'}), "shortest"},
		{"no length", mustHex("829f825f"), "header byte"},
		{"huge key", mustHex("829f825bffffffffffffffff"), "size 18446744073709551615"},
		{"huge value", mustHex("829f824161" + "5a0fffffff"), "cut off"},
		{"short checksum", join(one[:25], []byte{0x40}), "cut off"},
		{"other file", []byte("{}"), "not a lotus backup"},
		{"other cbor", mustHex("829f00"), "begins with"},
	} {
		all, err := readAll(test.data)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(sortedKeys(all))
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	stop := errors.New("stop")
	for _, data := range [][]byte{one, join(one, entry)} {
		n := 0
		err := ReadBackup(t.Context(), bytes.NewReader(data), func(_, _ []byte) error {
			n++
			return stop
		})
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("fn's error: got %v after %d", err, n)
		}
	}
}

func sortedKeys(all map[string]string) []string {
	var keys []string
	for _, k := range []string{"/", minerKey} {
		if _, ok := all[k]; ok {
			keys = append(keys, k)
		}
	}
	return keys
}

func FuzzReadBackup(f *testing.F) {
	f.Add(sampleBackup)
	f.Add(append(bytes.Clone(sampleBackup), mustHex("83412f41611a6553f101")...))
	f.Add(mustHex("829f824161" + "5a0fffffff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		total := 0
		err := ReadBackup(t.Context(), bytes.NewReader(data), func(key, value []byte) error {
			total += len(key) + len(value)
			return nil
		})
		if total > len(data) {
			t.Errorf("%d bytes out of %d", total, len(data))
		}
		if err != nil {
			return
		}
		// What is accepted has the checksum of its own bytes in it.
		end := bytes.LastIndex(data, []byte{0xff, 0x58, sha256.Size})
		if end < 0 {
			t.Errorf("accepted without a checksum: %x", data)
		}
	})
}
