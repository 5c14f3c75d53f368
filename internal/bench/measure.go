package main

import (
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// measurement is one run of a command.
type measurement struct {
	wall      time.Duration
	firstByte time.Duration // until the first byte on stdout
	peak      int64         // VmHWM in bytes
}

// measure runs a command several times and prints the medians, and how much
// the runs spread. reset is called before each run and not timed.
func measure(name string, runs, sectors int, reset func() error, command []string) error {
	var all []measurement
	for range runs {
		if err := reset(); err != nil {
			return err
		}
		m, err := runOnce(command)
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	wall := median(all, func(m measurement) float64 { return m.wall.Seconds() })
	fastest := slices.MinFunc(all, func(a, b measurement) int { return int(a.wall - b.wall) }).wall.Seconds()
	slowest := slices.MaxFunc(all, func(a, b measurement) int { return int(a.wall - b.wall) }).wall.Seconds()
	fmt.Printf("%-42s %8d sectors  %7.2f s (%.2f to %.2f)  %7.0f/s  %6.1f µs each  VmHWM %4.0f MiB  first byte %5.2f s\n",
		name, sectors, wall, fastest, slowest, float64(sectors)/wall, wall*1e6/float64(max(sectors, 1)),
		median(all, func(m measurement) float64 { return float64(m.peak) / (1 << 20) }),
		median(all, func(m measurement) float64 { return m.firstByte.Seconds() }))
	return nil
}

func median[T any](all []T, of func(T) float64) float64 {
	values := make([]float64, 0, len(all))
	for _, m := range all {
		values = append(values, of(m))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func runOnce(command []string) (measurement, error) {
	var m measurement
	cmd := exec.Command(command[0], command[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return m, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return m, err
	}
	if n, err := out.Read(make([]byte, 1)); n > 0 || err == io.EOF {
		m.firstByte = time.Since(start)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		return m, err
	}
	err = cmd.Wait()
	m.wall = time.Since(start)
	if err != nil {
		return m, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, stderr.String())
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.peak = usage.Maxrss * 1024
	}
	return m, nil
}

// resetting returns what puts things back before a run.
func resetting(script string) func() error {
	return func() error {
		if script == "" {
			return nil
		}
		out, err := exec.Command("sh", "-c", script).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", script, err, out)
		}
		return nil
	}
}
