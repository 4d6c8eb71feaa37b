package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// process is a server at work.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	said  *tail
	lines []string // those that it printed first
	ended sync.Once
}

// start starts one. It has to print so many lines once it is ready. It ends with its standard input, or is killed.
func start(ctx context.Context, lines int, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, said: &tail{}}
	cmd.Stderr = p.said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, p.stop)
	read := bufio.NewReader(stdout)
	for range lines {
		line, err := read.ReadString('\n')
		if err != nil {
			p.stop()
			return nil, fmt.Errorf("it doesn't start: %w: %s", err, p.said)
		}
		p.lines = append(p.lines, strings.TrimSpace(line))
	}
	go io.Copy(p.said, read)
	return p, nil
}

func (p *process) stop() { p.ended.Do(p.end) }

func (p *process) end() {
	p.stdin.Close()
	_ = p.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// tail keeps the end of what a process says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-4096):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
