package demo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// The sectors that the story names are what it says of them.
func TestWanted(t *testing.T) {
	all := wanted()
	for i, w := range all {
		if int(w.Number) != i {
			t.Errorf("sector %d has the number %d", i, w.Number)
		}
	}
	if !all[split].Split || all[split].Snap || !all[split].Deal {
		t.Errorf("sector %d: %+v", split, all[split])
	}
	if w := all[splitUpgraded]; !w.Split || !w.Snap {
		t.Errorf("sector %d: %+v", splitUpgraded, w)
	}
}

func TestShown(t *testing.T) {
	const text = "a 1\na 2\nb 1\na 3\nc 1\n"
	for _, tt := range []struct {
		show []string
		want string
	}{
		{nil, "a 1|a 2|b 1|a 3|c 1"},
		{[]string{"b"}, "…|b 1|…"},
		{[]string{"a", "c"}, "a 1|a 2|…|a 3|c 1"},
		{[]string{"x"}, "…"},
	} {
		if got := strings.Join(shown(text, tt.show), "|"); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.show, got, tt.want)
		}
	}
}

// A command that ends otherwise than it should ends the story, which says where.
func TestCommandFails(t *testing.T) {
	var ran []string
	var steps []int
	run := func(_ context.Context, args []string) Outcome {
		ran = append(ran, strings.Join(args, " "))
		if slices.Contains(args, "--dry-run") {
			return Outcome{Code: 3, Stdout: "one was left behind\n", Stderr: "hint: look\n"}
		}
		return Outcome{Stdout: "fine\n"}
	}
	_, err := Run(t.Context(), Options{Dir: t.TempDir(), Run: run, Show: func(s Step) { steps = append(steps, s.Number) }})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"step 2, look before you leap: ", "import --repo ", "--dry-run` ended with exit code 3, and not 0:\n", "one was left behind\nhint: look"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
	if len(ran) != 2 || !slices.Equal(steps, []int{1}) {
		t.Errorf("ran %q, told the steps %v", ran, steps)
	}
}

// Whatever a command made of a cancelled ctx, the story ends with ctx's error.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	run := func(context.Context, []string) Outcome { cancel(); return Outcome{Code: 130} }
	if _, err := Run(ctx, Options{Dir: t.TempDir(), Run: run}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
