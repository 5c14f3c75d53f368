package lotus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/rpc"
	"damocles-manager/internal/testkit"
)

func read(c *Client, numbers []abi.SectorNumber, jobs int) (got []abi.SectorNumber, failed []error, err error) {
	err = c.Sectors(context.Background(), numbers, jobs, func(n abi.SectorNumber, s *APISector, err error) error {
		if err == nil && s.SectorID != n {
			err = fmt.Errorf("%d is %d", n, s.SectorID)
		}
		if err != nil {
			failed = append(failed, err)
		}
		got = append(got, n)
		return nil
	})
	return got, failed, err
}

func TestSectorsKeepsTheOrderAndIsConcurrent(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Empty: true, Generated: 400, Options: testkit.Options{Latency: 20 * time.Millisecond}})
	c := dialTest(t, s, nil)
	numbers, err := c.SectorsList(context.Background())
	if err != nil || len(numbers) != 400 {
		t.Fatalf("%d, %v", len(numbers), err)
	}
	got, failed, err := read(c, numbers, 0)
	if err != nil || len(failed) > 0 || !slices.Equal(got, numbers) {
		t.Errorf("%d sectors, %v, %v", len(got), failed, err)
	}
	if s.MaxConcurrent() < 8 || s.MaxConcurrent() > 16 { // how long it takes, the machine decides as well
		t.Errorf("%d at once", s.MaxConcurrent())
	}
}

func TestSectorsDeliversASectorsErrorAndGoesOn(t *testing.T) {
	c := dialTest(t, testkit.Lotus(t, testkit.LotusOptions{Sectors: map[uint64]json.RawMessage{5: json.RawMessage(`{"SectorID":5,"State":7}`)}}), nil)
	got, failed, err := read(c, []abi.SectorNumber{3, 999, 4, 5, 6}, 2)
	if err != nil || !reflect.DeepEqual(got, []abi.SectorNumber{3, 999, 4, 5, 6}) || len(failed) != 2 || !errors.Is(failed[0], ErrNoSector) {
		t.Errorf("%v, %v, %v", got, failed, err)
	}
}

func TestSectorsStopsWhenTheConnectionIsLost(t *testing.T) {
	for name, tt := range map[string]struct {
		fail testkit.Failure
		is   error
	}{"lost": {testkit.Close, rpc.ErrUnreachable}, "denied": {testkit.Denied, rpc.ErrUnauthorized}} {
		s := testkit.Lotus(t, testkit.LotusOptions{Empty: true, Generated: 1000, Options: testkit.Options{Fail: func(_ string, n int) testkit.Failure {
			if n > 100 {
				return tt.fail
			}
			return testkit.Pass
		}}})
		c := dialTest(t, s, nil)
		numbers := make([]abi.SectorNumber, 1000)
		for i := range numbers {
			numbers[i] = abi.SectorNumber(i)
		}
		got, failed, err := read(c, numbers, 4)
		if !errors.Is(err, tt.is) || len(failed) > 0 || !slices.Equal(got, numbers[:len(got)]) || len(got) < 97 || len(got) > 100 {
			t.Errorf("%s: %d sectors, %v, %v", name, len(got), failed, err)
		}
		if n := s.Calls(""); n > 130 {
			t.Errorf("%s: %d calls after the end", name, n)
		}
	}
}

// A short interruption in the middle is got over, and told once.
func TestSectorsGetsOverAnInterruption(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Empty: true, Generated: 200, Options: testkit.Options{Fail: func(_ string, n int) testkit.Failure {
		if n == 50 {
			return testkit.Close
		}
		return testkit.Pass
	}}})
	notices := make(chan string, 100)
	c := dialTest(t, s, func(text string) { notices <- text })
	numbers, err := c.SectorsList(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got, failed, err := read(c, numbers, 8)
	if err != nil || len(failed) > 0 || !slices.Equal(got, numbers) || len(notices) != 1 {
		t.Errorf("%d sectors, %v, %v, %d notices", len(got), failed, err, len(notices))
	}
}

func TestSectorsHonoursCancelAndTheReceiversError(t *testing.T) {
	s := testkit.Lotus(t, testkit.LotusOptions{Empty: true, Generated: 500, Options: testkit.Options{Latency: time.Millisecond}})
	c := dialTest(t, s, nil)
	numbers, err := c.SectorsList(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	err = c.Sectors(ctx, numbers, 8, func(abi.SectorNumber, *APISector, error) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n > 30 {
		t.Errorf("%d sectors, %v", n, err)
	}
	stop := errors.New("disk full")
	if err := c.Sectors(context.Background(), numbers, 8, func(abi.SectorNumber, *APISector, error) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	if err := c.Sectors(context.Background(), nil, 1, nil); err != nil {
		t.Errorf("no sectors: %v", err)
	}
}
