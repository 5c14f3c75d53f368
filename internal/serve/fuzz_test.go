package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/serve"
)

// FuzzRequest sends a request through the whole handler. Whatever comes, the
// answer is one line of JSON with the id of the request, or nothing.
func FuzzRequest(f *testing.F) {
	for _, form := range forms() {
		if len(form.body) < 1000 {
			f.Add([]byte(form.body))
		}
	}
	all := methods()
	delete(all, "T.Sleep")
	all["T.List"] = serve.Method{Params: 2, Call: func(context.Context, []json.RawMessage) (any, error) {
		return serve.Elements(func(_ context.Context, emit func(json.RawMessage) error) error { return emit([]byte("1")) }), nil
	}}
	over := ""
	srv := serve.New(serve.Options{Methods: all, Open: true, Observe: func(method string, _ time.Duration, _ int) { over = method }})
	f.Fuzz(func(t *testing.T, body []byte) {
		over = ""
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "http://127.0.0.1/rpc/v0", bytes.NewReader(body))
		srv.ServeHTTP(w, r)
		if _, ok := all[over]; !ok && over != serve.Unknown && over != serve.Refused {
			t.Errorf("observed as %q", over)
		}
		if w.Code != 200 && w.Code != 500 {
			t.Errorf("status %d", w.Code)
		}
		got := w.Body.String()
		if got == "" {
			return
		}
		var a struct {
			Version string `json:"jsonrpc"`
			ID      json.RawMessage
			Error   *serve.Error
		}
		if err := json.Unmarshal([]byte(got), &a); err != nil || !strings.HasSuffix(got, "}\n") || a.Version != "2.0" || len(a.ID) == 0 {
			t.Fatalf("%v in %q", err, got)
		}
		var req struct{ ID json.RawMessage }
		_ = json.NewDecoder(bytes.NewReader(body)).Decode(&req)
		refused := a.Error != nil && a.Error.Code == serve.CodeInvalidRequest
		var text string
		if json.Unmarshal(req.ID, &text) == nil { // which is sent back with escapes
			req.ID, _ = json.Marshal(text)
		}
		if !refused && !bytes.Equal(a.ID, req.ID) {
			t.Errorf("the answer is for id %s, the request had %s", a.ID, req.ID)
		}
		if !refused && strings.TrimLeft(string(req.ID[:1]), `-0123456789"`) != "" {
			t.Errorf("an id of another kind was taken: %s", req.ID)
		}
	})
}
