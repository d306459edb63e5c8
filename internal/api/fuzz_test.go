package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
	"teachbox/internal/lesson"
)

// Whatever is sent as a command, the box answers without failing, and the
// lesson is as it was unless the answer says that something was done. REV,
// LESSON and PRESS in a body stand for those of the lesson in hand.
func FuzzCommand(f *testing.F) {
	for _, seed := range [][2]string{
		{"undo", `{"revision":REV}`}, {"redo", `{"revision":REV}`}, {"new", `{"revision":REV}`}, {"lock", `{}`},
		{"take-back", `{"revision":REV,"button":"class 1"}`}, {"forget", `{"revision":REV,"button":"nothing"}`},
		{"drop", `{"revision":REV,"press":"PRESS"}`}, {"move", `{"revision":REV,"press":"PRESS","to":"class 3"}`},
		{"merge", `{"revision":REV,"from":"class 1","into":"nothing"}`}, {"rename", `{"revision":REV,"button":"class 1","name":"Cup"}`},
		{"describe", `{"revision":REV,"name":"Kitchen","note":"\u0000"}`}, {"restore", `{"revision":REV,"lesson":"LESSON"}`},
		{"restore", `{"revision":REV}`}, {"erase", `{"revision":REV,"confirm":"LESSON"}`}, {"undo", `{"revision":1}`},
		{"", `[[[[`}, {"undo/redo", `{}`}, {"..", `{"a":{"a":{}}}`},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	b := newBox(f)
	s := unlimited(newServer(f, b))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		b.TB = t
		if b.contents().Revision > 500 { // a long history is slow
			if _, err := b.Edit(t.Context(), lesson.AnyRevision, lesson.Erase{}); err != nil {
				t.Fatal(err)
			}
		}
		if b.contents().Presses < 2 {
			b.teach(0, 1)
			b.teach(device.Nothing, 1)
		}
		presses, err := b.store.Presses()
		if err != nil {
			t.Fatal(err)
		}
		before := b.store.Contents()
		text := strings.NewReplacer("REV", fmt.Sprint(before.Revision), "LESSON", before.Lesson, "PRESS", presses[0].ID).Replace(string(body))
		r := httptest.NewRequest(http.MethodPost, prefix+"/commands/"+url.PathEscape(name), strings.NewReader(text))
		r.Header.Set("Content-Type", jsonType)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		after := b.store.Contents()
		switch {
		case w.Code >= 500:
			t.Errorf("%q %q: %d %s", name, text, w.Code, w.Body)
		case w.Code >= 300 && !cmp.Equal(before, after):
			t.Errorf("%q %q: %d, and the lesson was changed:\n%s", name, text, w.Code, cmp.Diff(before, after))
		case w.Code < 300 && after.Revision == before.Revision && orderOf(name) != nil:
			t.Errorf("%q %q: %d, and nothing was done", name, text, w.Code)
		}
	})
}
