// Package pool keeps the backends of one service and lends them out.
//
//	p := pool.New(pool.Config{Balance: pool.LeastConn})
//	go p.Run(ctx)                      // trials, probes, health checks
//	p.Update(endpoints)                // the whole set, each time it changes
//
//	lease, err := p.Acquire(0, nil)    // choose and count, one step
//	conn, err := net.Dial("tcp", lease.Backend().Address())
//	if err != nil {
//		lease.Report(pool.Refused)     // what was learned about the backend
//	}
//	lease.Release()                    // exactly once
//
// What discovery says and what traffic shows meet here. Discovery adds and
// removes backends; failures set them aside for a while. Neither alone takes the
// last one away. The package opens no connections but those of probes.
package pool
