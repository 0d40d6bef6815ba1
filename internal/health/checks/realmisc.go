package checks

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"evenkeel/internal/command"
	"evenkeel/internal/model"
)

// realMISC is MISC_CHECK: a program whose exit status is the result.
type realMISC struct {
	run     command.Command
	secure  bool
	timeout time.Duration
	dynamic bool
}

// scriptGrace is how long a program has to end itself when asked to.
const scriptGrace = 2 * time.Second

func compileRealMISC(c *model.RealCheck, e *RealEnv) (RealChecker, error) {
	if c.Script == nil || len(c.Script.Command.Argv) == 0 {
		return nil, errors.New("no misc_path: write the program to run")
	}
	k := &realMISC{run: command.Command{Argv: c.Script.Command.Argv, User: command.Default()}, secure: e.Secure,
		timeout: c.Script.Timeout, dynamic: c.Script.Dynamic}
	if k.timeout <= 0 {
		k.timeout = c.Interval
	}
	if k.timeout <= 0 {
		k.timeout = time.Minute
	}
	user := c.Script.Command.User
	if user == nil {
		user = e.ScriptUser
	}
	if user != nil {
		id, err := command.Lookup(user.User, user.Group)
		if err != nil {
			return nil, err
		}
		k.run.User = id
	}
	if err := k.run.Verify(k.secure); err != nil {
		return nil, err
	}
	return k, nil
}

// Run runs the program, and ends it and all that it started when its time is
// over.
func (k *realMISC) Run(ctx context.Context, t RealTarget) RealResult {
	start := time.Now()
	name := k.run.Argv[0]
	p, err := command.Start(k.run, command.Options{Secure: k.secure, DieWithParent: true})
	if err != nil {
		res := outcome(start, false, "%s cannot be started: %v", name, err)
		res.Local = isLocal(err)
		return res
	}
	ended := make(chan command.Exit, 1)
	go func() { ended <- p.Wait() }()
	limit := time.NewTimer(k.timeout)
	defer limit.Stop()
	select {
	case exit := <-ended:
		return k.exit(start, exit)
	case <-limit.C:
	case <-ctx.Done():
	}
	p.Kill(syscall.SIGTERM)
	grace := time.NewTimer(scriptGrace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
		p.Kill(syscall.SIGKILL)
		<-ended
	}
	return RealResult{Took: time.Since(start), Text: fmt.Sprintf("%s did not end within %s", name, brief(k.timeout))}
}

// exit reads the exit status: 0 is good, and with misc_dynamic 2 to 255 too,
// for a weight that is two less.
func (k *realMISC) exit(start time.Time, e command.Exit) RealResult {
	name := k.run.Argv[0]
	switch {
	case e.OK():
		return outcome(start, true, "%s succeeded", name)
	case k.dynamic && e.Code >= 2:
		weight := e.Code - 2
		res := outcome(start, true, "%s says weight %d", name, weight)
		res.Weight = &weight
		return res
	}
	return outcome(start, false, "%s failed: %s", name, e)
}
