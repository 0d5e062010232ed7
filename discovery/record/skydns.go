package record

// skyOrdinary is the weight CoreDNS gives an SRV record without one.
const skyOrdinary = 100

// readSkyDNS reads what CoreDNS and external-dns keep: {"host","port",
// "priority","weight",…}. The host may be a DNS name. Priority is passed on as
// metadata; nothing here orders by it.
func readSkyDNS(in entry) (Reading, error) {
	var v struct {
		Host, Port, Priority, Weight loose
		Text, Mail, Group            loose
	}
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	switch {
	case isTrue(string(v.Mail)):
		return absent("a mail exchanger (MX), not a service")
	case v.Host == "" && v.Text != "":
		return absent("a text record (TXT), not a service")
	case v.Port == "-1":
		return absent("port is -1")
	}
	more := with(nil, "priority", string(v.Priority))
	more = with(more, "text", string(v.Text))
	more = with(more, "group", string(v.Group))
	return in.one(said{
		address: string(v.Host), port: string(v.Port),
		weight: string(v.Weight), ordinary: skyOrdinary, more: more,
	})
}
