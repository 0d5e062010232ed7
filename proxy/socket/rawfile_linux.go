package socket

import "os"

// rawFile is a file's descriptor.
type rawFile file

func (c *rawFile) Control(f func(fd uintptr)) error {
	file := (*file)(c)
	if !c.polled.Load() {
		fd, ok, err := file.begin()
		if ok {
			f(fd)
			file.done()
		}
		if ok || err != nil {
			return file.error("raw-control", err)
		}
	}
	return file.error("raw-control", c.raw.Control(f))
}

func (c *rawFile) Read(f func(fd uintptr) (done bool)) error {
	file := (*file)(c)
	if !c.polled.Load() {
		if done, err := file.try(forReading, f); done || err != nil {
			return file.error("raw-read", err)
		}
	}
	if err := c.raw.Read(f); err != nil {
		return file.error("raw-read", err)
	}
	return nil
}

func (c *rawFile) Write(f func(fd uintptr) (done bool)) error {
	file := (*file)(c)
	if !c.polled.Load() {
		if done, err := file.try(forWriting, f); done || err != nil {
			return file.error("raw-write", err)
		}
	}
	if err := c.raw.Write(f); err != nil {
		return file.error("raw-write", err)
	}
	return nil
}

// Try calls f on the descriptor if nobody has had to wait for it yet. Otherwise,
// tried is false, and f was not called.
func (c *file) Try(f func(fd uintptr) (done bool)) (done, tried bool) {
	fd, ok, _ := c.begin()
	if !ok {
		return false, false
	}
	defer c.done()
	return f(fd), true
}

// try calls f on fd itself, and has c polled if f is not done.
func (c *file) try(what int, f func(fd uintptr) (done bool)) (done bool, err error) {
	fd, ok, err := c.begin()
	if !ok {
		return false, err
	}
	defer c.done()
	if c.overdue(what) {
		return false, os.ErrDeadlineExceeded
	}
	if f(fd) {
		return true, nil
	}
	return false, c.poll()
}
