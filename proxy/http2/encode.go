package http2

// AppendField appends a field as one that no table keeps (RFC 7541 6.2.2, 6.2.3): by its
// number where the static table has it whole, else by its name's number, or in letters.
func AppendField(b []byte, f Field) []byte {
	at, known := static[f.Name]
	if known && at.values != nil {
		if i, whole := at.values[f.Value]; whole && !f.Sensitive {
			return appendInt(b, 0x80, 7, uint64(i))
		}
	}
	var first byte
	if f.Sensitive {
		first = 0x10 // never indexed: neither by us nor by who is next
	}
	b = appendInt(b, first, 4, uint64(at.name))
	if !known {
		b = appendText(b, f.Name)
	}
	return appendText(b, f.Value)
}

// noTable says that no table is kept (RFC 7541 6.3), as the peer is to be told when it has
// changed how large one may be (4.2).
const noTable = 0x20

// appendInt appends n with so many bits in the first byte (RFC 7541 5.1).
func appendInt(b []byte, first byte, bits int, n uint64) []byte {
	most := uint64(1)<<bits - 1
	if n < most {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(most))
	for n -= most; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(b, byte(n))
}

func appendText(b []byte, text string) []byte {
	return append(appendInt(b, 0, 7, uint64(len(text))), text...)
}

// SizeOf is a field's share of SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 6.5.2).
func SizeOf(f Field) int { return len(f.Name) + len(f.Value) + 32 }

// numbered is a name's first number in the static table, and those of its values.
type numbered struct {
	name   byte
	values map[string]byte
}

// static is the static table (RFC 7541 A).
var static = func() map[string]numbered {
	table := map[string]numbered{}
	for i, f := range [...][2]string{
		{":authority"},
		{":method", "GET"},
		{":method", "POST"},
		{":path", "/"},
		{":path", "/index.html"},
		{":scheme", "http"},
		{":scheme", "https"},
		{":status", "200"},
		{":status", "204"},
		{":status", "206"},
		{":status", "304"},
		{":status", "400"},
		{":status", "404"},
		{":status", "500"},
		{"accept-charset"},
		{"accept-encoding", "gzip, deflate"},
		{"accept-language"},
		{"accept-ranges"},
		{"accept"},
		{"access-control-allow-origin"},
		{"age"},
		{"allow"},
		{"authorization"},
		{"cache-control"},
		{"content-disposition"},
		{"content-encoding"},
		{"content-language"},
		{"content-length"},
		{"content-location"},
		{"content-range"},
		{"content-type"},
		{"cookie"},
		{"date"},
		{"etag"},
		{"expect"},
		{"expires"},
		{"from"},
		{"host"},
		{"if-match"},
		{"if-modified-since"},
		{"if-none-match"},
		{"if-range"},
		{"if-unmodified-since"},
		{"last-modified"},
		{"link"},
		{"location"},
		{"max-forwards"},
		{"proxy-authenticate"},
		{"proxy-authorization"},
		{"range"},
		{"referer"},
		{"refresh"},
		{"retry-after"},
		{"server"},
		{"set-cookie"},
		{"strict-transport-security"},
		{"transfer-encoding"},
		{"user-agent"},
		{"vary"},
		{"via"},
		{"www-authenticate"},
	} {
		n := table[f[0]]
		if n.name == 0 {
			n.name = byte(i + 1)
		}
		if f[1] != "" {
			if n.values == nil {
				n.values = map[string]byte{}
			}
			n.values[f[1]] = byte(i + 1)
		}
		table[f[0]] = n
	}
	return table
}()
