package damocles

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strconv"

	"github.com/filecoin-project/go-address"
	"github.com/filecoin-project/go-state-types/abi"
	"github.com/filecoin-project/go-state-types/builtin/v9/market"
	"github.com/ipfs/go-cid"
)

// form is a pass over a state in the one form in which damocles writes it:
// compact, keys in order. It either writes the state or reads it, so that the two
// cannot differ. Reading takes no other form of the same JSON: it sets bad, and
// DecodeState turns to encoding/json, which takes several times as long.
type form struct {
	buf     []byte // what is written so far, or what is still to be read
	reading bool
	bad     bool
}

// literal writes s, or reads exactly that.
func (f *form) literal(s string) {
	if !f.reading {
		f.buf = append(f.buf, s...)
		return
	}
	f.bad = !f.skip(s) || f.bad
}

// skip reads s if it comes next.
func (f *form) skip(s string) bool {
	if len(f.buf) < len(s) || string(f.buf[:len(s)]) != s {
		return false
	}
	f.buf = f.buf[len(s):]
	return true
}

// token reads a string that has no escapes, without its quotes. What is not
// plain ASCII is left to encoding/json.
func (f *form) token() []byte {
	f.literal(`"`)
	for i, c := range f.buf {
		if c == '"' && !f.bad {
			token := f.buf[:i]
			f.buf = f.buf[i+1:]
			return token
		}
		if c < ' ' || c > '~' || c == '\\' {
			break
		}
	}
	f.bad = true
	return nil
}

// null writes null where the value is none, or reads it. It says whether it did.
func (f *form) null(none bool) bool {
	const null = "null"
	if f.reading {
		return f.skip(null)
	}
	if none {
		f.literal(null)
	}
	return none
}

// omittable is a key that is left out where its value is nil.
func omittable[T any](f *form, key string, p **T) bool {
	if f.reading && f.skip(key) {
		*p = new(T)
	} else if !f.reading && *p != nil {
		f.literal(key)
	}
	return *p != nil
}

// nullable is a key that is null where its value is nil.
func nullable[T any](f *form, key string, p **T) bool {
	f.literal(key)
	if !f.null(*p == nil) && f.reading {
		*p = new(T)
	}
	return *p != nil
}

// array is null where it is nil, and [] where it is empty.
func array[T any](f *form, key string, items *[]T, item func(*form, *T)) {
	f.literal(key)
	if f.null(*items == nil) {
		return
	}
	f.literal(`[`)
	if f.reading {
		readItems(f, items, item)
		return
	}
	for i := range *items {
		if i > 0 {
			f.literal(`,`)
		}
		item(f, &(*items)[i])
	}
	f.literal(`]`)
}

func readItems[T any](f *form, items *[]T, item func(*form, *T)) {
	*items = []T{}
	for !f.skip(`]`) && !f.bad {
		if len(*items) > 0 {
			f.literal(`,`)
		}
		*items = append(*items, *new(T))
		item(f, &(*items)[len(*items)-1])
	}
}

func number[T ~int64 | ~uint64 | ~uint8](f *form, key string, v *T) {
	f.literal(key)
	signed := T(0)-1 < 0
	switch {
	case f.reading:
		*v = readNumber[T](f, signed)
	case signed:
		f.buf = strconv.AppendInt(f.buf, int64(*v), 10)
	default:
		f.buf = strconv.AppendUint(f.buf, uint64(*v), 10)
	}
}

func readNumber[T ~int64 | ~uint64 | ~uint8](f *form, signed bool) T {
	negative := signed && f.skip(`-`)
	n, digits := uint64(0), 0
	for digits < len(f.buf) && '0' <= f.buf[digits] && f.buf[digits] <= '9' {
		n = n*10 + uint64(f.buf[digits]-'0')
		digits++
	}
	// 18 digits fit every type but the smallest; JSON knows no leading zeros.
	if digits == 0 || digits > 18 || (digits > 1 && f.buf[0] == '0') || uint64(T(n)) != n {
		f.bad = true
		return 0
	}
	f.buf = f.buf[digits:]
	if negative {
		return -T(n)
	}
	return T(n)
}

func (f *form) bool(key string, v *bool) {
	f.literal(key)
	if !f.reading {
		f.buf = strconv.AppendBool(f.buf, *v)
		return
	}
	if *v = f.skip(`true`); !*v {
		f.literal(`false`)
	}
}

func (f *form) string(key string, v *string) {
	f.literal(key)
	if f.reading {
		*v = string(f.token())
		return
	}
	f.quote(*v)
}

// quote escapes as encoding/json does, which is asked where there is anything to
// escape.
func (f *form) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			escaped, _ := json.Marshal(s) // a string cannot fail
			f.buf = append(f.buf, escaped...)
			return
		}
	}
	f.buf = append(append(append(f.buf, '"'), s...), '"')
}

// bytes are base64, and null where they are nil.
func (f *form) bytes(key string, v *[]byte) {
	f.literal(key)
	switch {
	case f.null(*v == nil):
	case f.reading:
		token := f.token()
		out, err := base64.StdEncoding.AppendDecode(make([]byte, 0, len(token)/4*3), token)
		f.bad = f.bad || err != nil
		*v = out
	default:
		f.literal(`"`)
		f.buf = base64.StdEncoding.AppendEncode(f.buf, *v)
		f.literal(`"`)
	}
}

// commitment is an array of numbers, never base64.
func (f *form) commitment(key string, v *[32]byte) {
	f.literal(key)
	for i := range v {
		before := `,`
		if i == 0 {
			before = `[`
		}
		number(f, before, &v[i])
	}
	f.literal(`]`)
}

// cid is null where it is undefined.
func (f *form) cid(key string, v *cid.Cid) {
	f.literal(key)
	if f.null(!v.Defined()) {
		return
	}
	f.literal(`{"/":`)
	if f.reading {
		c, err := cid.Decode(string(f.token()))
		f.bad = f.bad || err != nil
		*v = c
	} else {
		f.buf = append(append(append(f.buf, '"'), v.String()...), '"')
	}
	f.literal(`}`)
}

// address has the prefix f on every network: damocles writes it so, and nothing
// here changes address.CurrentNetwork.
func (f *form) address(key string, v *address.Address) {
	f.literal(key)
	switch {
	case !f.reading:
		f.quote(v.String())
	case !f.skip(`"\u003cempty\u003e"`):
		a, err := address.NewFromString(string(f.token()))
		f.bad = f.bad || err != nil
		*v = a
	}
}

// amount is a decimal string, "0" where it is nil.
func (f *form) amount(key string, v *abi.TokenAmount) {
	f.literal(key)
	switch {
	case f.reading:
		n, ok := new(big.Int).SetString(string(f.token()), 10)
		f.bad = f.bad || !ok
		v.Int = n
	case v.Int == nil:
		f.literal(`"0"`)
	default:
		f.literal(`"`)
		f.buf = v.Append(f.buf, 10)
		f.literal(`"`)
	}
}

// label loses its bytes where it is not a string, as in damocles.
func (f *form) label(key string, v *market.DealLabel) {
	f.literal(key)
	if !f.reading {
		s, _ := v.ToString()
		f.quote(s)
		return
	}
	label, err := market.NewLabelFromString(string(f.token()))
	f.bad = f.bad || err != nil
	*v = label
}
