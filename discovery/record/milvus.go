package record

// readMilvus reads {"ServerName","Address","Version","Stopping"}. A session is
// put again with Stopping before its process leaves, which is how to drain.
func readMilvus(in entry) (Reading, error) {
	var v struct {
		ServerName, Address, Port, Version loose
		HostName, Stopping                 loose
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	if !in.want.suits(string(v.ServerName)) {
		return absent("a session of %q", short(string(v.ServerName)))
	}
	more := with(nil, "role", string(v.ServerName))
	more = with(more, "host", string(v.HostName))
	return in.one(said{
		address: string(v.Address), port: string(v.Port), version: string(v.Version),
		draining: isTrue(string(v.Stopping)), more: more,
	})
}
