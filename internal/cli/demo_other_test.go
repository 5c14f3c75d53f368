//go:build !linux

package cli

import "errors"

func forbidSockets() error { return errors.ErrUnsupported }
