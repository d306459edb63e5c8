package sim

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"teachbox/device"
)

func TestKeys(t *testing.T) {
	tap := func(b device.Button) Key { return Key{TapButton, b} }
	hold := func(b device.Button) Key { return Key{HoldButton, b} }
	which, unknown := Key{Action: WhichButton}, Key{Action: Unknown}
	for name, test := range map[string]struct {
		reads []string
		want  []Key
	}{
		"digits":        {[]string{"1", "80"}, []Key{tap(0), tap(7), tap(device.Nothing)}},
		"shifted":       {[]string{"!@#$%^&*)"}, []Key{hold(0), hold(1), hold(2), hold(3), hold(4), hold(5), hold(6), hold(7), hold(device.Nothing)}},
		"h":             {[]string{"h1", "h", "0", "2"}, []Key{which, hold(0), which, hold(device.Nothing), tap(1)}},
		"h thought of":  {[]string{"hn1hh1h!"}, []Key{which, {Action: NextThing}, tap(0), which, which, hold(0), which, hold(0)}},
		"things":        {[]string{" npce"}, []Key{{Action: NextThing}, {Action: NextThing}, {Action: PreviousThing}, {Action: NextClass}, {Action: EmptyDesk}}},
		"quit":          {[]string{"q", "\x03"}, []Key{{Action: Quit}, {Action: Quit}}},
		"unknown":       {[]string{"9xQ\r", "\x00", "ä1", "€", "\x80"}, []Key{unknown, unknown, unknown, unknown, unknown, unknown, tap(0), unknown}},
		"arrows":        {[]string{"\x1b[A\x1bOB1"}, []Key{unknown, unknown, tap(0)}},
		"parameters":    {[]string{"\x1b[3~\x1b[1;2P2"}, []Key{unknown, unknown, tap(1)}},
		"split":         {[]string{"\x1b[1", ";", "2P", "2"}, []Key{unknown, tap(1)}},
		"escape":        {[]string{"\x1b", "1"}, []Key{unknown, tap(0)}},
		"escape escape": {[]string{"\x1b\x1b[A", "1"}, []Key{unknown, tap(0)}},
		"alt":           {[]string{"\x1b1", "2"}, []Key{unknown, tap(1)}},
		"broken off":    {[]string{"\x1b[\x03"}, []Key{{Action: Quit}}},
	} {
		var keys Keys
		var got []Key
		for _, read := range test.reads {
			got = append(got, keys.Parse([]byte(read))...)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("1!h2 \x1b[3~q"))
	f.Fuzz(func(t *testing.T, input []byte) {
		var keys Keys
		for _, key := range keys.Parse(input) {
			if key.Button > device.Nothing || key.Action > Unknown {
				t.Errorf("%q gave the key %+v", input, key)
			}
		}
		keys.Parse(nil)
		// Ctrl-C must work whatever came before it.
		if got := keys.Parse([]byte{3}); len(got) != 1 || got[0].Action != Quit {
			t.Errorf("after %q Ctrl-C gave %v", input, got)
		}
	})
}
