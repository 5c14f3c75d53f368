package daemon

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/serve"
)

// The files of a home that hold its tokens, one each: what may do everything,
// and what may only look.
const (
	adminToken = "token"
	readToken  = "token.read"
)

// Tokens are the tokens that a daemon takes. It keeps their hashes alone, and
// comparing two hashes takes the same time whatever is in them.
type Tokens struct {
	admin, read [sha256.Size]byte
}

var _ serve.Tokens = (*Tokens)(nil)

// OpenTokens reads the tokens of a home, and makes those that are missing, which
// it says. A token that others than its owner can read is refused: it would be
// one no longer.
func OpenTokens(dfs durable.FS, home string) (t *Tokens, made bool, err error) {
	admin, madeAdmin, err := openToken(dfs, filepath.Join(home, adminToken))
	if err != nil {
		return nil, false, err
	}
	read, madeRead, err := openToken(dfs, filepath.Join(home, readToken))
	if err != nil {
		return nil, false, err
	}
	if admin == read {
		return nil, false, fault.Refuse("remove one of them: the next start makes a new one",
			"%s and %s in %s are the same token", adminToken, readToken, home)
	}
	return &Tokens{admin: hashOf(admin), read: hashOf(read)}, madeAdmin || madeRead, nil
}

func hashOf(t rpc.Token) [sha256.Size]byte { return sha256.Sum256([]byte(t.Reveal())) }

// HomeToken returns the token of a home that may do everything, for commands on
// the same machine; empty where there is none that may be read.
func HomeToken(home string) rpc.Token {
	raw, err := os.ReadFile(filepath.Join(home, adminToken))
	if err != nil {
		return ""
	}
	token, err := rpc.ParseToken(string(raw))
	if err != nil {
		return ""
	}
	return token
}

func openToken(dfs durable.FS, path string) (rpc.Token, bool, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeToken(dfs, path)
	case err != nil:
		return "", false, fmt.Errorf("read the token: %w", err)
	case !info.Mode().IsRegular():
		return "", false, fault.Refuse("remove it: the next start makes a new one", "%s is not a file", path)
	case info.Mode().Perm()&0o077 != 0:
		return "", false, fault.Refuse("chmod 600 "+path+", or remove it: the next start makes a new one",
			"%s can be read by others (mode %04o)", path, info.Mode().Perm())
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", false, fault.New("run as the user who owns the home", "read the token: %w", err)
	}
	token, err := rpc.ParseToken(string(raw))
	if err != nil || len(token.Reveal()) < 16 {
		return "", false, fault.Refuse("remove it: the next start makes a new one", "%s does not hold a token", path)
	}
	return token, false, nil
}

func makeToken(dfs durable.FS, path string) (rpc.Token, bool, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", false, err
	}
	text := hex.EncodeToString(secret[:])
	f, err := dfs.CreatePrivate(path)
	if err != nil {
		return "", false, fault.New("run as the user who owns the home", "make the token: %w", err)
	}
	defer f.Discard()
	if _, err := f.Write([]byte(text)); err != nil {
		return "", false, err
	}
	if err := f.Commit(); err != nil {
		return "", false, fmt.Errorf("make the token: %w", err)
	}
	return rpc.Token(text), true, nil
}

// Perm says what the bearer of a token may do; false where nobody knows it.
func (t *Tokens) Perm(token string) (serve.Perm, bool) {
	got := sha256.Sum256([]byte(token))
	admin := subtle.ConstantTimeCompare(got[:], t.admin[:])
	read := subtle.ConstantTimeCompare(got[:], t.read[:])
	switch {
	case admin == 1:
		return serve.Admin, true
	case read == 1:
		return serve.Read, true
	default:
		return serve.None, false
	}
}
