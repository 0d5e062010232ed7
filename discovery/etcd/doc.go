// Package etcd follows prefixes in etcd and keeps registrations alive there. It
// is the only importer of etcd's client.
//
//	client := etcd.New(etcd.Config{Endpoints: []string{"http://127.0.0.1:2379"}}, log)
//	go client.Run(ctx)
//	source := client.Source("service/orders/", decode)
//	err := source.Run(ctx, pool.Update)
//
// What holds whatever etcd does:
//
//   - The set never becomes empty because etcd does not answer. Doubt of any kind
//     leads to another list, and only a list or an event changes the set.
//   - Following never stops. A stream that has ended, was compacted, refused or
//     fell silent is a reason to list again, not to return.
//   - Silence is noticed. A set that was not proven current within
//     Config.Liveness is stale, and Status says so on time even while calls hang.
//   - A registration that was lost is made again, for ever.
//
// One connection and one watch stream serve every source and keeper of a
// Client. The package does not read records: a [Decode] does.
package etcd
