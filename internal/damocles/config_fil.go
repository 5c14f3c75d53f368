package damocles

import (
	"errors"
	"math/big"
	"strings"
)

// parseFIL reads an amount as damocles writes it, "5 nanoFIL", and returns it in
// attoFIL; nil for an empty text, which is an amount that is not set. bare is an
// amount without a unit, which counts in FIL.
func parseFIL(text string) (amount *big.Int, bare bool, err error) {
	if text == "" {
		return nil, false, nil
	}
	unit := strings.TrimLeft(text, "-.1234567890")
	number := text[:len(text)-len(unit)]
	value, ok := new(big.Rat).SetString(number)
	if !ok || len(number) > 50 {
		return nil, false, errors.New("it is no amount")
	}
	digits := 0
	switch strings.ToLower(strings.TrimSpace(unit)) {
	case "":
		digits, bare = 18, true
	case "fil":
		digits = 18
	case "nanofil", "nfil":
		digits = 9
	case "attofil", "afil":
	default:
		return nil, false, errors.New("it has no unit of FIL")
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	value.Mul(value, new(big.Rat).SetInt(scale))
	if !value.IsInt() {
		return nil, false, errors.New("it is finer than an attoFIL")
	}
	return value.Num(), bare, nil
}
