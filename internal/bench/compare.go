package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// contender is one of the commands that are held against each other, as
// name=command for a shell.
type contender struct {
	name, command string
	took          []time.Duration
	memory        int64 // VmHWM in KiB, the most of all runs
}

// compare runs the commands in turn, so that whatever else the machine does
// meets all of them, and prints medians, and how many times as fast the first
// is as each of the others, pair by pair.
func compare(title string, runs int, reset func() error, args []string) error {
	var all []*contender
	for _, arg := range args {
		name, command, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q is not name=command", arg)
		}
		all = append(all, &contender{name: name, command: command})
	}
	if len(all) < 2 || runs < 1 {
		return errors.New("give two commands at least, and one run")
	}
	for range runs {
		for _, c := range all {
			if err := reset(); err != nil {
				return err
			}
			if err := c.run(); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%s, medians of %d:\n", title, runs)
	for i, c := range all {
		line := fmt.Sprintf("  %-22s %8.3f s (%.3f to %.3f)", c.name, median(c.took, time.Duration.Seconds),
			slices.Min(c.took).Seconds(), slices.Max(c.took).Seconds())
		if i == 0 {
			line += fmt.Sprintf("  VmHWM %d MiB", c.memory>>10)
		} else {
			line += fmt.Sprintf("  %.2f times", medianRatio(c.took, all[0].took))
		}
		fmt.Println(line)
	}
	return nil
}

func (c *contender) run() error {
	cmd := exec.Command("sh", "-c", c.command)
	var errs strings.Builder
	cmd.Stderr = &errs
	start := time.Now()
	err := cmd.Run()
	c.took = append(c.took, time.Since(start))
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", c.command, err, errs.String())
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.memory = max(c.memory, usage.Maxrss)
	}
	return nil
}

// medianRatio is the median of what the pairs of one round come to.
func medianRatio(of, by []time.Duration) float64 {
	ratios := make([]float64, len(of))
	for i := range of {
		ratios[i] = of[i].Seconds() / by[i].Seconds()
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}
