package api

import (
	"net"
	"sync"
)

// bounded is a listener with so many connections at once; the next ones wait.
type bounded struct {
	net.Listener
	open   chan struct{} // one entry for each connection
	closed chan struct{}
	close  func() error
}

func newBounded(l net.Listener, n int) *bounded {
	b := &bounded{Listener: l, open: make(chan struct{}, n), closed: make(chan struct{})}
	b.close = sync.OnceValue(func() error {
		close(b.closed)
		return l.Close()
	})
	return b
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.open <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.open
		return nil, err
	}
	return &boundedConn{Conn: c, free: sync.OnceFunc(func() { <-b.open })}, nil
}

// Close implements net.Listener.
func (b *bounded) Close() error { return b.close() }

// A boundedConn makes room for the next one when it is closed.
type boundedConn struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
