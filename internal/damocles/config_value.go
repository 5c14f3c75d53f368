package damocles

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/filecoin-project/go-address"
)

// Values of keys, as damocles takes them. None of these errors quotes a value.

// whole reads a whole number.
func (n *tomlNode) whole() (int64, error) {
	if n.kind != tomlInt {
		return 0, wrongKind("a whole number", n)
	}
	v, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 0, 64)
	if err != nil {
		return 0, errors.New("the number is too large")
	}
	return v, nil
}

// natural reads a whole number that is not negative. damocles would take -1 for
// 18446744073709551615.
func (n *tomlNode) natural() (uint64, error) {
	v, err := n.whole()
	if err == nil && v < 0 {
		err = errors.New("the number is negative")
	}
	return uint64(v), err
}

func (n *tomlNode) float() (float64, error) {
	if n.kind == tomlInt {
		v, err := n.whole()
		return float64(v), err
	}
	if n.kind != tomlFloat {
		return 0, wrongKind("a number", n)
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, errors.New("it is no finite number")
	}
	return v, nil
}

func (n *tomlNode) boolean() (bool, error) {
	if n.kind != tomlBool {
		return false, wrongKind("true or false", n)
	}
	return n.text == "true", nil
}

func (n *tomlNode) string() (string, error) {
	if n.kind != tomlString {
		return "", wrongKind(`a text in "quotes"`, n)
	}
	return n.text, nil
}

// scalarText is what damocles hands to a value that reads itself from text. It
// does so with numbers, too.
func (n *tomlNode) scalarText(takes string) (string, error) {
	switch n.kind {
	case tomlString:
		return n.text, nil
	case tomlInt:
		v, err := n.whole()
		return strconv.FormatInt(v, 10), err
	case tomlFloat:
		v, err := n.float()
		return fmt.Sprintf("%f", v), err
	default:
		return "", wrongKind(takes, n)
	}
}

func (n *tomlNode) duration() (time.Duration, error) {
	const takes = `a time, as "90s" or "1h30m"`
	text, err := n.scalarText(takes)
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("it takes " + takes)
	}
	if d < 0 {
		return 0, errors.New("the time is negative")
	}
	return d, nil
}

// fil returns nil for an amount that is not set.
func (n *tomlNode) fil() (amount *big.Int, bare bool, err error) {
	text, err := n.scalarText(`an amount, as "5 nanoFIL"`)
	if err != nil {
		return nil, false, err
	}
	if amount, bare, err = parseFIL(text); err != nil {
		return nil, false, err
	}
	if amount != nil && amount.Sign() < 0 {
		return nil, false, errors.New("the amount is negative")
	}
	return amount, bare, nil
}

// address returns the text of an address with the prefix that damocles writes.
func (n *tomlNode) address() (string, error) {
	text, err := n.string()
	if err != nil {
		return "", err
	}
	a, err := address.NewFromString(text)
	if err != nil {
		return "", errors.New("it is no address")
	}
	if a == address.Undef {
		return a.String(), nil
	}
	return address.MainnetPrefix + a.String()[1:], nil
}

func wrongKind(takes string, n *tomlNode) error {
	return fmt.Errorf("it takes %s, and has %s", takes, n.kind)
}
