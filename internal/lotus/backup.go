package lotus

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	cbg "github.com/whyrusleeping/cbor-gen"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
)

// The parts of lotus's backup format, an array of two in CBOR: the pairs, as an
// array without a length, and the SHA-256 of that array.
const (
	cborArray2  = 0x82
	cborArray3  = 0x83
	cborNoLimit = 0x9f
	cborBreak   = 0xff
)

// The longest key and value of a backup in bytes. A sector's record with a full
// log has some megabytes.
const (
	maxBackupKey   = 64 << 10
	maxBackupValue = 256 << 20
)

// BackupPattern matches the names that BackupName gives.
const BackupPattern = "damocles-manager-*.backup.cbor"

// BackupName is the file name of a backup made at t.
func BackupName(t time.Time) string {
	return "damocles-manager-" + t.UTC().Format("20060102T150405.000000000Z") + ".backup.cbor"
}

// Backup writes all of the metadata to path in lotus's own format, which
// lotus-miner init restore and lotus-shed read. It is read back whole before it
// gets its name. If path exists the error wraps fs.ErrExist.
func (r *Repo) Backup(ctx context.Context, path string, dfs durable.FS) error {
	f, err := dfs.Create(path)
	if errors.Is(err, fs.ErrExist) {
		return fault.New("name another file for the backup, or move that one away", "back up the repo: %w", err)
	}
	if err != nil {
		return fmt.Errorf("back up the repo: %w", err)
	}
	defer f.Discard()
	wrote, err := r.writeBackup(ctx, f)
	if err != nil {
		return fmt.Errorf("back up the repo to %s: %w", path, err)
	}
	read, err := recount(ctx, f)
	if err == nil && read != wrote {
		err = fmt.Errorf("wrote %d records, and read back %d", wrote, read)
	}
	if err != nil {
		return fmt.Errorf("verify the backup %s: %w", path, err)
	}
	if err := f.Commit(); err != nil {
		return fmt.Errorf("back up the repo: %w", err)
	}
	r.log.Debug("backed up the metadata", "repo", r.dir, "file", path, "records", wrote)
	return nil
}

func (r *Repo) writeBackup(ctx context.Context, f io.Writer) (records int, err error) {
	out := bufio.NewWriterSize(f, 256<<10)
	sum := sha256.New()
	hashed := io.MultiWriter(out, sum)
	put := func(w io.Writer, b ...byte) {
		_, _ = w.Write(b) // out keeps its first error for Flush
	}
	put(out, cborArray2)
	put(hashed, cborNoLimit)
	var pair []byte
	err = r.each(ctx, nil, func(key, value []byte) error {
		records++
		pair = append(pair[:0], cborArray2)
		pair = append(appendBytesHeader(pair, len(key)), key...)
		pair = append(appendBytesHeader(pair, len(value)), value...)
		_, err := hashed.Write(pair)
		return err
	})
	if err != nil {
		return 0, err
	}
	put(hashed, cborBreak)
	put(out, sum.Sum(appendBytesHeader(nil, sha256.Size))...)
	return records, out.Flush()
}

func appendBytesHeader(b []byte, size int) []byte {
	return append(b, cbg.CborEncodeMajorType(cbg.MajByteString, uint64(size))...)
}

func recount(ctx context.Context, f *durable.File) (records int, err error) {
	in, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	err = ReadBackup(ctx, in, func(_, _ []byte) error {
		records++
		return nil
	})
	return records, err
}

// ReadBackup calls fn for each record of a backup in lotus's format, and then
// for each later put of its log if it has one (deletions are not logged). key
// and value are valid only during the call. Only when ReadBackup returns nil is
// the checksum known to be right: until then fn must not act on what it gets.
// An error of fn, or ctx's end, stops it and is returned.
func ReadBackup(ctx context.Context, r io.Reader, fn func(key, value []byte) error) error {
	b := &backupReader{in: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	return b.records(ctx, fn)
}

var errCutOff = errors.New("the backup is cut off")

type backupReader struct {
	in         *bufio.Reader
	sum        hash.Hash
	one        [1]byte
	key, value bytes.Buffer
}

func (b *backupReader) records(ctx context.Context, fn func(key, value []byte) error) error {
	if err := b.expect(cborArray2); err != nil {
		return err
	}
	b.sum.Reset()
	if err := b.expect(cborNoLimit); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := b.ReadByte()
		if err != nil {
			return err
		}
		if c == cborBreak {
			break
		}
		if c != cborArray2 {
			return fmt.Errorf("not a lotus backup: a record begins with %#x", c)
		}
		if err := b.pair(fn); err != nil {
			return err
		}
	}
	if err := b.checksum(); err != nil {
		return err
	}
	return b.log(ctx, fn)
}

func (b *backupReader) pair(fn func(key, value []byte) error) error {
	if err := b.bytes(&b.key, maxBackupKey); err != nil {
		return err
	}
	if err := b.bytes(&b.value, maxBackupValue); err != nil {
		return err
	}
	return fn(b.key.Bytes(), b.value.Bytes())
}

func (b *backupReader) checksum() error {
	want := b.sum.Sum(nil)
	if err := b.bytes(&b.value, sha256.Size); err != nil {
		return err
	}
	if !bytes.Equal(b.value.Bytes(), want) {
		return errors.New("the backup's checksum is wrong")
	}
	return nil
}

// log reads entries of key, value and time to the end of the file.
func (b *backupReader) log(ctx context.Context, fn func(key, value []byte) error) error {
	for {
		c, err := b.in.ReadByte()
		if errors.Is(err, io.EOF) {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if c != cborArray3 {
			return fmt.Errorf("stray byte %#x after the backup's checksum", c)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.pair(func(_, _ []byte) error { return nil }); err != nil {
			return err
		}
		major, _, err := b.header()
		if err != nil {
			return err
		}
		if major != cbg.MajUnsignedInt && major != cbg.MajNegativeInt {
			return errors.New("a log entry after the backup has no time")
		}
		if err := fn(b.key.Bytes(), b.value.Bytes()); err != nil {
			return err
		}
	}
}

func (b *backupReader) expect(want byte) error {
	c, err := b.ReadByte()
	if err == nil && c != want {
		err = fmt.Errorf("not a lotus backup: byte %#x instead of %#x", c, want)
	}
	return err
}

// bytes reads a byte string. Its memory grows with what is there, not with what
// the header promises.
func (b *backupReader) bytes(to *bytes.Buffer, limit uint64) error {
	major, size, err := b.header()
	if err != nil {
		return err
	}
	if major != cbg.MajByteString || size > limit {
		return fmt.Errorf("not a lotus backup: an item of type %d and size %d", major, size)
	}
	to.Reset()
	_, err = io.CopyN(to, b, int64(size))
	return err
}

// header reads the type and argument of the next item, in its shortest form.
func (b *backupReader) header() (major byte, arg uint64, err error) {
	c, err := b.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	major, low := c>>5, c&0x1f
	if low < 24 {
		return major, uint64(low), nil
	}
	if low > 27 {
		return 0, 0, fmt.Errorf("not a lotus backup: header byte %#x", c)
	}
	var wide [8]byte
	size := 1 << (low - 24)
	if _, err := io.ReadFull(b, wide[8-size:]); err != nil {
		return 0, 0, err
	}
	arg = binary.BigEndian.Uint64(wide[:])
	if least := []uint64{24, 1 << 8, 1 << 16, 1 << 32}[low-24]; arg < least {
		return 0, 0, fmt.Errorf("not a lotus backup: %d is not in its shortest form", arg)
	}
	return major, arg, nil
}

// Read and ReadByte add to the sum what they read. They know no good end.
func (b *backupReader) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	b.sum.Write(p[:n])
	return n, cutOff(err)
}

func (b *backupReader) ReadByte() (byte, error) {
	c, err := b.in.ReadByte()
	if err == nil {
		b.one[0] = c
		b.sum.Write(b.one[:])
	}
	return c, cutOff(err)
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return errCutOff
	}
	return err
}

// MetadataLog is the directory in which a repo's lotus-miner logs its metadata, to be
// restored from; "" where it does not. It goes on with the newest log at its start,
// and what others have written meanwhile is not in there. Where there is no log it
// begins one with a backup of everything.
func MetadataLog(repo string) string {
	dir := filepath.Join(repo, "kvlog", "metadata")
	entries, err := os.ReadDir(dir)
	isLog := func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), ".log.cbor") }
	if err != nil || !slices.ContainsFunc(entries, isLog) {
		return ""
	}
	return dir
}
