package daemon

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/serve"
)

func openTokens(t *testing.T, home string) *Tokens {
	t.Helper()
	tokens, _, err := OpenTokens(durable.FS{}, home)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func tokenIn(t *testing.T, home, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(home, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestTokensAreMadeOnce(t *testing.T) {
	home := t.TempDir()
	_, made, err := OpenTokens(durable.FS{}, home)
	if err != nil || !made {
		t.Fatalf("first start: made %t, %v", made, err)
	}
	admin, read := tokenIn(t, home, "token"), tokenIn(t, home, "token.read")
	if len(admin) != 64 || len(read) != 64 || admin == read {
		t.Errorf("tokens of %d and %d characters, same %t", len(admin), len(read), admin == read)
	}
	for _, name := range []string{"token", "token.read"} {
		info, err := os.Stat(filepath.Join(home, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode().Perm())
		}
	}
	tokens, made, err := OpenTokens(durable.FS{}, home)
	if err != nil || made {
		t.Fatalf("second start: made %t, %v", made, err)
	}
	if tokenIn(t, home, "token") != admin {
		t.Error("the second start changed the token")
	}
	for _, tt := range []struct {
		token string
		perm  serve.Perm
		known bool
	}{
		{admin, serve.Admin, true},
		{read, serve.Read, true},
		{"", serve.None, false},
		{admin[:63], serve.None, false},
		{admin + "0", serve.None, false},
		{strings.ToUpper(admin), serve.None, false},
	} {
		perm, known := tokens.Perm(tt.token)
		if perm != tt.perm || known != tt.known {
			t.Errorf("a token of %d characters: got %v %t, want %v %t", len(tt.token), perm, known, tt.perm, tt.known)
		}
	}
	if got := HomeToken(home).Reveal(); got != admin {
		t.Error("HomeToken is not the admin token")
	}
	if HomeToken(t.TempDir()) != "" {
		t.Error("a home without a token has one")
	}
}

func TestTokensThatAreNoSecret(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"readable by the group": func(p string) error { return os.Chmod(p, 0o640) },
		"readable by all":       func(p string) error { return os.Chmod(p, 0o644) },
		"empty":                 func(p string) error { return os.Truncate(p, 0) },
		"short":                 func(p string) error { return os.Truncate(p, 8) },
		"a link": func(p string) error {
			if err := os.Rename(p, p+".moved"); err != nil {
				return err
			}
			return os.Symlink(p+".moved", p)
		},
		"a directory": func(p string) error {
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Mkdir(p, 0o700)
		},
		"the same as the other": func(p string) error {
			raw, err := os.ReadFile(filepath.Join(filepath.Dir(p), "token.read"))
			if err != nil {
				return err
			}
			return os.WriteFile(p, raw, 0o600)
		},
	} {
		home := t.TempDir()
		openTokens(t, home)
		secret := tokenIn(t, home, "token")
		if err := spoil(filepath.Join(home, "token")); err != nil {
			t.Fatal(err)
		}
		_, _, err := OpenTokens(durable.FS{}, home)
		if fault.KindOf(err) != fault.Refused || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v, want a refusal with its next step", name, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error has the token in it", name)
		}
	}
}

func TestTokenIsNeverHalfMade(t *testing.T) {
	for _, step := range []string{"create", "write", "sync", "close", "link", "rename", "syncdir"} {
		home := t.TempDir()
		failing := durable.FS{Fault: func(op, _ string) error {
			if op == step {
				return fs.ErrPermission
			}
			return nil
		}}
		_, _, err := OpenTokens(failing, home)
		left, globErr := filepath.Glob(filepath.Join(home, ".*"))
		if globErr != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", step, left, globErr)
		}
		if err == nil {
			continue // a step that is not taken here
		}
		openTokens(t, home)
		if n := len(tokenIn(t, home, "token")); n != 64 {
			t.Errorf("%s: after another start the token has %d characters", step, n)
		}
	}
}
