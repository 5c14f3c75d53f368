package damocles

import (
	"strings"
	"testing"

	"damocles-manager/internal/testkit"
)

// Finalizing changes one value and nothing else, in whatever form the state is.
func TestFinalizedState(t *testing.T) {
	online := stateOf(t, "117")
	finalized := strings.Replace(online, `"Finalized":false`, `"Finalized":true`, 1)
	tests := []struct{ name, raw, want string }{
		{"as damocles writes it", online, finalized},
		{"finalized already", finalized, finalized},
		{"unknown keys", `{"A":{"Finalized":false},` + online[1:], `{"A":{"Finalized":false},` + finalized[1:]},
		{"unknown keys in a part", strings.Replace(online, `"NeedSend"`, `"X":[1, 2],"NeedSend"`, 1), strings.Replace(finalized, `"NeedSend"`, `"X":[1, 2],"NeedSend"`, 1)},
		{"spaces", strings.Replace(online, `"Finalized":`, `"Finalized" : `, 1), strings.Replace(finalized, `"Finalized":`, `"Finalized" : `, 1)},
		{"another case", strings.Replace(online, `"Finalized":`, `"finalized":`, 1), strings.Replace(finalized, `"Finalized":`, `"finalized":`, 1)},
		{"null", strings.Replace(online, `"Finalized":false`, `"Finalized":null`, 1), finalized},
		{"not there", strings.Replace(online, `"Finalized":false,`, ``, 1), `{"Finalized":true,` + strings.Replace(online, `"Finalized":false,`, ``, 1)[1:]},
		{"two, of which the last counts", `{"Finalized":true,` + online[1:], `{"Finalized":true,` + finalized[1:]},
		{"in a string", strings.Replace(online, `"Location":"`, `"Y":1,"Location":"\"Finalized\":false `, 1), strings.Replace(finalized, `"Location":"`, `"Y":1,"Location":"\"Finalized\":false `, 1)},
	}
	for _, tt := range tests {
		got, err := FinalizedState([]byte(tt.raw))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", tt.name, err, got, tt.want)
		}
	}
	for _, bad := range []string{"", "null", "{", "[]", `{"ID":7}`, "{}x"} {
		if got, err := FinalizedState([]byte(bad)); err == nil {
			t.Errorf("%q: got %s", bad, got)
		}
	}
}

// stateOf is a state of the fixtures in the form in which damocles stores it.
func stateOf(t *testing.T, number string) string {
	t.Helper()
	d := testkit.Damocles(t, testkit.DamoclesOptions{})
	for _, ws := range []string{"online", "offline"} {
		var n uint64
		for _, c := range number {
			n = 10*n + uint64(c-'0')
		}
		if raw := d.State(ws, 1000, n); raw != nil {
			return string(raw)
		}
	}
	t.Fatalf("no state %s", number)
	return ""
}

func TestReleaseReserved(t *testing.T) {
	entry := func(name, size string) string {
		return `"` + name + `":{"By":"` + name + `","Size":` + size + `,"At":7}`
	}
	one, two, three := entry("s-t01000-1", "10"), entry("s-t01000-10", "20"), entry("s-t01000-2", "30")
	store := func(size string, entries ...string) string {
		return `{"ReservedSize":` + size + `,"Reserved":{` + strings.Join(entries, ",") + `}}`
	}
	summary := func(stores ...string) string { return `{"Stats":{` + strings.Join(stores, ",") + `}}` }
	tests := []struct{ name, raw, by, want string }{
		{"the only one", summary(`"a":` + store("10", one)), "s-t01000-1", summary(`"a":` + store("0"))},
		{"the first", summary(`"a":` + store("60", one, two, three)), "s-t01000-1", summary(`"a":` + store("50", two, three))},
		{"one between", summary(`"a":` + store("60", one, two, three)), "s-t01000-10", summary(`"a":` + store("40", one, three))},
		{"the last", summary(`"a":` + store("60", one, two, three)), "s-t01000-2", summary(`"a":` + store("30", one, two))},
		{"in two stores", summary(`"a":`+store("30", one, two), `"b":`+store("10", one)), "s-t01000-1", summary(`"a":`+store("20", two), `"b":`+store("0"))},
		{"none", summary(`"a":` + store("20", two)), "s-t01000-1", summary(`"a":` + store("20", two))},
		{"less reserved than it takes", summary(`"a":` + store("3", one)), "s-t01000-1", summary(`"a":` + store("0"))},
		{"no stores", `{"Stats":{}}`, "s-t01000-1", `{"Stats":{}}`},
		{"null", `{"Stats":null}`, "s-t01000-1", `{"Stats":null}`},
		{"another document", `{"Other":1}`, "s-t01000-1", `{"Other":1}`},
		{"spaces", ` { "Stats" : { "a" : { "Reserved" : { ` + one + ` , ` + two + ` } , "ReservedSize" : 30 } } } `, "s-t01000-10", ` { "Stats" : { "a" : { "Reserved" : { ` + one + ` } , "ReservedSize" : 10 } } } `},
	}
	for _, tt := range tests {
		got, err := ReleaseReserved([]byte(tt.raw), tt.by)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", tt.name, err, got, tt.want)
		}
	}
	for _, bad := range []string{"", "[]", `{"Stats":[]}`, `{"Stats":{"a":7}}`, `{"Stats":{"a":{"Reserved":{"x":[]}}}}`, `{"Stats":{"a":{`} {
		if got, err := ReleaseReserved([]byte(bad), "s-t01000-1"); err == nil {
			t.Errorf("%q: got %s", bad, got)
		}
	}
}
