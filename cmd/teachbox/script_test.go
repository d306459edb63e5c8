package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"teachbox/internal/api"
)

// truncate FROM TO BYTES copies the first bytes of a file.
func truncate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: truncate FROM TO BYTES")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b[:min(n, len(b))], 0o600))
}

// flipByte FROM TO OFFSET copies a file with one byte inverted.
func flipByte(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: flip FROM TO OFFSET")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b[n] ^= 0xff
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}

// oneLine holds that the last command complained in exactly one line that
// begins with the program's name, without a stack trace.
func oneLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: oneline")
	}
	text := ts.ReadFile("stderr")
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "teachbox: ") {
		ts.Fatalf("want one line of complaint, got:\n%s", text)
	}
}

// png WIDTH HEIGHT FILE writes a PNG picture whose header claims that size and
// whose data is missing.
func png(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: png WIDTH HEIGHT FILE")
	}
	width, err := strconv.ParseUint(args[0], 10, 32)
	ts.Check(err)
	height, err := strconv.ParseUint(args[1], 10, 32)
	ts.Check(err)
	header := []byte("IHDR")
	header = binary.BigEndian.AppendUint32(header, uint32(width))
	header = binary.BigEndian.AppendUint32(header, uint32(height))
	header = append(header, 8, 2, 0, 0, 0) // 8 bits, RGB
	b := binary.BigEndian.AppendUint32([]byte("\x89PNG\r\n\x1a\n"), uint32(len(header)-4))
	b = append(b, header...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(header))
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b, 0o600))
}

// envsubst FILE puts the values of ${NAME} into a file.
func envsubst(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: envsubst FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// newer FILE makes a lesson file look like one of a later version.
func newer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newer FILE")
	}
	db, err := sql.Open("sqlite3", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec("PRAGMA user_version = 1000")
	ts.Check(err)
	ts.Check(db.Close())
}

// appear FILE waits until there is such a file.
func appear(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: appear FILE")
	}
	for range 200 {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s did not appear within 10 s", args[0])
}

// taught DIR N waits until the running box in a folder has kept so many frames
// and lights an LED.
func taught(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: taught DIR N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	socket := filepath.Join(ts.MkAbs(args[0]), controlName)
	c := api.NewClient(func(ctx context.Context) (net.Conn, error) { return dialControl(ctx, socket) })
	defer c.Close()
	var s api.Snapshot
	for range 400 {
		if s, err = c.Snapshot(context.Background()); err == nil && s.Contents.Frames == n && s.Known {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("%s was not taught within 20 s: %+v, %v", args[0], s, err)
}

// hangup sends SIGHUP to the box that status --json has just told of, and waits
// until it has done what that asks for.
func hangUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hangup")
	}
	var s api.Snapshot
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &s))
	ts.Check(syscall.Kill(s.Box.PID, syscall.SIGHUP))
	time.Sleep(500 * time.Millisecond)
}
