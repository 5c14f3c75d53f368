package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// What goes wrong at the end of a run that left sectors behind is an error of
// its own, and is neither silent nor exit code 3.
func TestExitCodeOfJoinedErrors(t *testing.T) {
	broken := errors.New("close the database: input/output error")
	tests := []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{errIncomplete, exitIncomplete},
		{errors.Join(errors.Join(errIncomplete, nil), nil), exitIncomplete},
		{errors.Join(errors.Join(errIncomplete, nil), broken), exitFailed},
		{errors.Join(errors.Join(errIncomplete, broken), nil), exitFailed},
		{fmt.Errorf("list: %w", errIncomplete), exitIncomplete},
		{broken, exitFailed},
	}
	for _, tt := range tests {
		if got := exitCode(t.Context(), tt.err); got != tt.want {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.want)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}
}

// What cannot be written is said once, whoever has tried.
func TestStdoutOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	var stderr bytes.Buffer
	env := Env{Stdout: fullDisk{}, Stderr: &stderr, Getenv: func(string) string { return "" }}
	code := Run(t.Context(), env, []string{"util", "sealer", "sectors", "list", "--listen", "none", "--home", w.home("home")})
	if n := strings.Count(stderr.String(), "no space left"); code != exitFailed || n != 1 {
		t.Errorf("exit code %d:\n%s", code, &stderr)
	}
}
