//go:build !linux

package transfer

func spinning(string) (string, bool) { return "", false }
