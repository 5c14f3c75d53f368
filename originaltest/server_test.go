package originaltest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/filecoin-project/go-jsonrpc"

	ours "damocles-manager/internal/serve"
)

// handler is served by the original's library.
type handler struct{}

type thing struct {
	A int
	B string
}

func (handler) Echo(_ context.Context, n int) (int, error)      { return n, nil }
func (handler) Void(context.Context) error                      { return nil }
func (handler) Fails(context.Context) (string, error)           { return "", errors.New("it <failed> & \"so\"") }
func (handler) Nothing(context.Context) (*thing, error)         { return nil, nil }
func (handler) Thing(context.Context) (thing, error)            { return thing{1, "a<b>&c"}, nil }
func (handler) None(context.Context) ([]thing, error)           { return []thing{}, nil }
func (handler) Things(context.Context) ([]thing, error)         { return []thing{{1, "x"}, {2, "y"}}, nil }
func (handler) Two(context.Context, string, bool) (bool, error) { return true, nil }
func (handler) Panics(context.Context) (int, error)             { panic("oh") }

// methods are the same in ours.
func methods() map[string]ours.Method {
	fixed := func(params int, result any, err error) ours.Method {
		return ours.Method{Params: params, Perm: ours.Read, Call: func(context.Context, []json.RawMessage) (any, error) { return result, err }}
	}
	list := func(elems ...string) ours.Elements {
		return func(_ context.Context, emit func(json.RawMessage) error) error {
			for _, e := range elems {
				if err := emit(json.RawMessage(e)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return map[string]ours.Method{
		"Venus.Echo": {Params: 1, Perm: ours.Read, Call: func(_ context.Context, p []json.RawMessage) (any, error) {
			return p[0], nil
		}},
		"Venus.Void":    fixed(0, ours.Void{}, nil),
		"Venus.Fails":   fixed(0, nil, errors.New("it <failed> & \"so\"")),
		"Venus.Nothing": fixed(0, json.RawMessage("null"), nil),
		"Venus.Thing":   fixed(0, thing{1, "a<b>&c"}, nil),
		"Venus.None":    fixed(0, list(), nil),
		"Venus.Things":  fixed(0, list(`{"A":1,"B":"x"}`, `{"A":2,"B":"y"}`), nil),
		"Venus.Two":     fixed(2, true, nil),
		"Venus.Panics": {Perm: ours.Read, Call: func(context.Context, []json.RawMessage) (any, error) {
			panic("oh")
		}},
	}
}

// answer is what a server says to a body.
type answer struct {
	status      int
	contentType string
	body        string
}

func ask(t *testing.T, url, body string) answer {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), string(raw)}
}

// The two servers are asked the same, and have to answer the same, to the byte.
func TestSameAnswers(t *testing.T) {
	theirs := jsonrpc.NewServer()
	theirs.Register("Venus", handler{})
	original := httptest.NewServer(theirs)
	defer original.Close()
	mine := httptest.NewServer(ours.New(ours.Options{Methods: methods(), Open: true}))
	defer mine.Close()
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Echo","params":[5]}`,
		`{"jsonrpc":"2.0","id":"a-b","method":"Venus.Echo","params":[5]}`,
		`{"jsonrpc":"2.0","id":"<&>","method":"Venus.Echo","params":[5]}`,
		`{"id":7,"method":"Venus.Echo","params":[5]}`,
		`{"JSONRPC":"2.0","ID":1,"METHOD":"Venus.Echo","Params":[5],"more":{}}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Echo","params":[5],"meta":{"SpanContext":"AAAA"}}`,
		` {"jsonrpc":"2.0", "id":1, "method":"Venus.Void"} `,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Void","params":null}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Void","params":[]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Fails","params":[]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Nothing","params":[]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Thing","params":[]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.None","params":[]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Things","params":[]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Two","params":["a",true]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Two","params":["a"]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Two","params":["a",true,1]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Two"}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Two","params":{"a":1}}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Two","params":"a"}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Nope","params":[]}`,
		`{"jsonrpc":"2.0","id":1,"method":"venus.echo","params":[5]}`,
		`{"jsonrpc":"2.0","id":1,"method":"","params":[]}`,
		`{"jsonrpc":"2.0","id":1}`,
		`{"jsonrpc":"2.0","id":1,"method":5}`,
		`{"jsonrpc":"2.0","id":"\u00e9\u2028","method":"Venus.Void"}`,
		`{"jsonrpc":"2.0","method":"Venus.Void"}`,
		`{"jsonrpc":"2.0","id":null,"method":"Venus.Void"}`,
		`{"jsonrpc":"2.0","method":"Venus.Nope"}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Panics","params":[]}`,
		`[{"jsonrpc":"2.0","id":1,"method":"Venus.Void"}]`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Void"`,
		`nonsense`, `"text"`, `5`, ``, `{}`,
		// The first value counts, whatever follows it.
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Echo","params":[5]};`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Echo","params":[5]}` + "\n" + `{"jsonrpc":"2.0","id":2,"method":"Venus.Echo","params":[6]}`,
		`{"jsonrpc":"2.0","id":1,"method":"Venus.Void"}}`,
		`{"jsonrpc":"2.0","id":1,"method":5} x`,
		`nonsense {"jsonrpc":"2.0","id":1,"method":"Venus.Void"}`,
		"\ufeff" + `{"jsonrpc":"2.0","id":1,"method":"Venus.Void"}`,
		`5 {"jsonrpc":"2.0","id":1,"method":"Venus.Void"}`,
	} {
		want, got := ask(t, original.URL, body), ask(t, mine.URL, body)
		if want != got {
			t.Errorf("%s\nthe original answers %+v\nours              %+v", body, want, got)
		}
	}
}
