//go:build !linux

package damocles

import "errors"

func (s *StoreInfo) statfs() error {
	return errors.New("this system does not tell how full the disk of " + s.Path + " is")
}
