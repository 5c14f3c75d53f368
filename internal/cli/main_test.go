package cli

import (
	"errors"
	"fmt"
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
