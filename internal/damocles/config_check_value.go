package damocles

import (
	"fmt"
	"math"
	"strings"

	"damocles-manager/internal/rpc"
)

// value checks the value of a key that is known.
func (c *configCheck) value(k configKey, n *tomlNode, key string) {
	var err error
	switch k.kind {
	case kindText, kindPath, kindSecret:
		_, err = n.string()
	case kindNode:
		c.node(n, key)
	case kindBool:
		_, err = n.boolean()
	case kindInt:
		c.integer(n, key)
	case kindUint:
		_, err = n.natural()
	case kindUint32:
		c.small(n, key)
	case kindFloat:
		c.float(n, key)
	case kindDuration:
		_, err = n.duration()
	case kindNanos:
		c.nanos(n, key)
	case kindFIL:
		c.fil(n, key)
	case kindAddress:
		c.address(n, key)
	case kindActor:
		c.actor(n, key)
	case kindTable:
		c.section(k, n, key)
	default:
		c.list(k, n, key)
	}
	if err != nil {
		c.fatal(n.line, key, err.Error(), exampleHint(k))
	}
}

func exampleHint(k configKey) string {
	for _, value := range []string{k.value, k.example} {
		if value != "" && value != `""` && k.kind != kindSecret {
			return "write it as in " + k.name + " = " + value
		}
	}
	return "write it as " + k.name + ` = "…"`
}

func (c *configCheck) section(k configKey, n *tomlNode, key string) {
	if n.kind != tomlTable {
		hint := "write it as [" + key + "]"
		if n.open {
			hint += ", with single brackets"
		}
		c.fatal(n.line, key, "it is a section, and has "+n.kind.String(), hint)
		return
	}
	c.table(k.keys, n, key)
}

// list checks what is made of several values.
func (c *configCheck) list(k configKey, n *tomlNode, key string) {
	if k.kind == kindMeta {
		c.meta(n, key)
		return
	}
	if n.kind != tomlArray {
		hint := "write it in [ ], with commas between the values"
		if k.kind == kindTables {
			hint = "write it as [[" + key + "]], with double brackets"
		}
		c.fatal(n.line, key, "it is a list, and has "+n.kind.String(), hint)
		return
	}
	for i, item := range n.list {
		at := fmt.Sprintf("%s[%d]", key, i)
		switch k.kind {
		case kindTables:
			c.section(configKey{keys: k.keys}, item, at)
		case kindTexts:
			if _, err := item.string(); err != nil {
				c.fatal(item.line, at, err.Error(), exampleHint(k))
			}
		case kindNodes:
			c.node(item, at)
		case kindAddresses:
			c.address(item, at)
		case kindActors:
			c.actor(item, at)
		}
	}
}

func (c *configCheck) meta(n *tomlNode, key string) {
	if n.kind != tomlTable {
		c.fatal(n.line, key, "it is a section, and has "+n.kind.String(), "write it as ["+key+"]")
		return
	}
	for _, item := range n.keys {
		if item.kind != tomlString {
			c.fatal(item.line, join(key, shownKey(item.name)), wrongKind(`a text in "quotes"`, item).Error(), "put it in quotes")
		}
	}
}

// node checks the address of a node. It may hold a token, so it is not shown.
func (c *configCheck) node(n *tomlNode, key string) {
	const hint = `write it as "/ip4/127.0.0.1/tcp/45132" or "http://127.0.0.1:45132", with a token in front as "TOKEN:ADDRESS"`
	text, err := n.string()
	if err != nil {
		c.fatal(n.line, key, err.Error(), hint)
		return
	}
	if text == "" { // as if it were not there
		return
	}
	if _, err := rpc.Parse(text, "/rpc/v0"); err != nil {
		c.fatal(n.line, key, "it is no address of a node", hint)
	}
}

// integer checks a number of something. None of them makes sense below 0, but
// damocles starts with it, and takes most of them as if they were 0.
func (c *configCheck) integer(n *tomlNode, key string) {
	if v, err := n.whole(); err != nil {
		c.fatal(n.line, key, err.Error(), "write 0 or more")
	} else if v < 0 {
		c.tell(n.line, key, "the number is negative", "write 0 or more")
	}
}

func (c *configCheck) small(n *tomlNode, key string) {
	v, err := n.natural()
	if err == nil && v > math.MaxUint32 {
		err = fmt.Errorf("the number is larger than %d", uint32(math.MaxUint32))
	}
	if err != nil {
		c.fatal(n.line, key, err.Error(), "write a small number")
	}
}

func (c *configCheck) float(n *tomlNode, key string) {
	v, err := n.float()
	if err == nil && v < 0 {
		err = fmt.Errorf("the number is negative")
	}
	if err != nil {
		c.fatal(n.line, key, err.Error(), "write a number, as 1.2")
	}
}

func (c *configCheck) nanos(n *tomlNode, key string) {
	const hint = `write a time with its unit, as "15s"`
	if n.kind == tomlInt {
		if _, err := n.natural(); err != nil {
			c.fatal(n.line, key, err.Error(), hint)
			return
		}
		c.tell(n.line, key, "a number without a unit is taken for nanoseconds", hint)
		return
	}
	if n.kind == tomlFloat {
		c.fatal(n.line, key, wrongKind("a time", n).Error(), hint)
		return
	}
	if _, err := n.duration(); err != nil {
		c.fatal(n.line, key, err.Error(), hint)
	}
}

func (c *configCheck) fil(n *tomlNode, key string) {
	const hint = `write the amount with its unit, as "5 nanoFIL"`
	amount, bare, err := n.fil()
	switch {
	case err != nil:
		c.fatal(n.line, key, err.Error(), hint)
	case bare && amount.Sign() > 0:
		c.tell(n.line, key, "an amount without a unit is in whole FIL", hint)
	}
}

func (c *configCheck) address(n *tomlNode, key string) {
	if _, err := n.address(); err != nil {
		c.fatal(n.line, key, err.Error(), `write an address, as "f0101" or "f3…"`)
	}
}

// actor checks the number of a miner. lotus writes it as an address.
func (c *configCheck) actor(n *tomlNode, key string) {
	if _, err := n.natural(); err == nil {
		return
	} else if n.kind != tomlString {
		c.fatal(n.line, key, err.Error(), "write the miner's number, as 1000")
		return
	}
	hint := "write the miner's number without quotes, as 1000"
	if number := strings.TrimLeft(n.text, "ft"); len(number) > 1 && number[0] == '0' && isNumber(number[1:]) {
		hint = "write it as " + number[1:] + ", without f0 and without quotes"
	}
	c.fatal(n.line, key, "it takes a number, and has a text", hint)
}

func isNumber(s string) bool {
	return len(s) < 20 && strings.Trim(s, "0123456789") == ""
}
