package sim

import (
	"strings"
	"unicode/utf8"

	"teachbox/device"
)

// An Action is what a key asks for.
type Action uint8

// The actions.
const (
	TapButton  Action = iota // push Key.Button briefly
	HoldButton               // push Key.Button down, or let it up if it is down
	NextThing
	PreviousThing
	NextClass
	EmptyDesk
	Quit
	WhichButton // h was pressed: the next key says which button to hold
	Unknown     // a key that means nothing
)

// A Key is what a person asked for on the keyboard.
type Key struct {
	Action Action
	Button device.Button // of TapButton and HoldButton
}

// Keys turns what a terminal in raw mode sends into keys. A terminal does not
// tell when a key goes up, so holding a button takes one key to push it and
// one to let it up: h and the digit, or the digit with shift on a US keyboard.
// On another keyboard shift and a digit give other characters, so h is the way
// there: on a German one ) is above the 9, and holds *nothing* as it does on a
// US one. The zero value is ready.
type Keys struct {
	state keyState
}

type keyState uint8

const (
	plain   keyState = iota
	holding          // after h
	escape           // after ESC
	control          // within ESC [ …
)

// Parse reads the bytes of one read and returns the keys in them. What it does
// not know is one Unknown for each key: an escape sequence or a character.
func (k *Keys) Parse(input []byte) []Key {
	var keys []Key
	for _, c := range input {
		was := k.state
		k.state = plain
		switch {
		case c == 0x03: // Ctrl-C, in any state
			keys = append(keys, Key{Action: Quit})
		case c == 0x1b:
			k.state = escape
		case was == escape && (c == '[' || c == 'O'):
			k.state = control
		case was == escape: // a key with Alt
			keys = append(keys, Key{Action: Unknown})
		case was == control:
			if c < '@' { // parameters go on; the first letter or ~ ends the sequence
				k.state = control
			} else {
				keys = append(keys, Key{Action: Unknown})
			}
		case was == holding && c >= '0' && c <= '8':
			keys = append(keys, Key{HoldButton, digit(c)})
		case c == 'h':
			k.state = holding
			keys = append(keys, Key{Action: WhichButton})
		case utf8.RuneStart(c): // the rest of a character adds nothing to it
			keys = append(keys, plainKey(c))
		}
	}
	if k.state == escape { // nothing followed it: the Escape key itself
		k.state = plain
		keys = append(keys, Key{Action: Unknown})
	}
	return keys
}

func plainKey(c byte) Key {
	switch c {
	case '0', '1', '2', '3', '4', '5', '6', '7', '8':
		return Key{TapButton, digit(c)}
	case ' ', 'n':
		return Key{Action: NextThing}
	case 'p':
		return Key{Action: PreviousThing}
	case 'c':
		return Key{Action: NextClass}
	case 'e':
		return Key{Action: EmptyDesk}
	case 'q':
		return Key{Action: Quit}
	}
	if i := strings.IndexByte(")!@#$%^&*", c); i >= 0 {
		return Key{HoldButton, digit('0' + byte(i))}
	}
	return Key{Action: Unknown}
}

// digit is the button of a digit: 0 is nothing.
func digit(c byte) device.Button {
	if c == '0' {
		return device.Nothing
	}
	return device.Button(c - '1')
}
