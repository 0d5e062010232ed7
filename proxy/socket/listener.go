package socket

import "net"

// Listener accepts from a listener of net's, by fewer system calls than that. Of
// several goroutines only one may accept at a time.
type Listener struct {
	ln  net.Listener
	own ownAccept
}

// NewListener accepts from ln, which must listen on TCP, and closes it in the end.
// Clients are probed by keepAlive; elsewhere than on Linux, as ln has it.
func NewListener(ln net.Listener, keepAlive net.KeepAliveConfig) *Listener {
	l := &Listener{ln: ln}
	l.own.start(ln, keepAlive)
	return l
}

// Accept waits for a client. Its errors are those of net's, or are to be told by
// their number like those.
func (l *Listener) Accept() (Stream, error) {
	if l.own.ready() {
		return l.own.accept()
	}
	conn, err := l.ln.Accept()
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// Close wakes who accepts. It may be called at any time. On Linux clients who have
// connected are accepted still, those among them who come meanwhile, before Accept says
// that it is closed: to end their connections unseen would be a reset to each.
func (l *Listener) Close() error {
	err := l.ln.Close() // first: the socket listens until both descriptors are closed, and accept closes the other
	l.own.close()
	return err
}

// Release gives up what is left of a listener that is closed, when nobody accepts any
// more.
func (l *Listener) Release() { l.own.release() }
