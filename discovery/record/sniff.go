package record

import (
	"encoding/json"
	"strings"
)

// sniffed are the fields by which the JSON formats are told apart.
type sniffed struct {
	Op, Addr, MetadataX        json.RawMessage
	Endpoints, Nodes           json.RawMessage
	Address, Network, ID, Name json.RawMessage
	ServerName, ServiceName    json.RawMessage
	Host, Text, Mail           json.RawMessage
	IP, URL, State, Role       json.RawMessage
	ListeningPort              json.RawMessage `json:"listening_port"`
	StatusPort                 json.RawMessage `json:"status_port"`
	ConnURL                    json.RawMessage `json:"conn_url"`
}

// claim is one row of the table of signs. A weak sign is a common word, which
// the metadata of a key-carried address may use as well.
type claim struct {
	format Format
	sign   bool
	weak   bool
}

func (in entry) jsonClaims() ([]Format, error) {
	var v sniffed
	if err := in.parse(&v); err != nil {
		return nil, err
	}
	var claims []Format
	strong := false
	for _, c := range v.claims(in.key) {
		if c.sign {
			claims = append(claims, c.format)
			strong = strong || !c.weak
		}
	}
	if !strong && in.isGoFrame() {
		claims = append(claims, GoFrame)
	}
	return claims, nil
}

// claims is the table of signs. An address without more is claimed by all who
// call it so: it is for their readings to agree.
func (v sniffed) claims(key string) []claim {
	kitex := Kitex
	if strings.HasPrefix(strings.TrimPrefix(key, "/"), "hertz/") {
		kitex = Hertz
	}
	address, network, named := has(v.Address), has(v.Network), has(v.ID) && has(v.Name)
	bare := address && !network && !named && !has(v.ServerName) && !has(v.ServiceName)
	micro := v.nodesHaveAddress()
	return []claim{
		{format: Jupiter, sign: has(v.MetadataX)},
		{format: Etcd, sign: !has(v.MetadataX) && (has(v.Addr) || has(v.Op))},
		{format: Kratos, sign: opens(v.Endpoints, `["`) || named && v.Nodes == nil && v.noEndpoints()},
		{format: GoMicro, sign: micro || opens(v.Nodes, "[]") && v.Endpoints != nil},
		{format: APISIX, sign: v.Nodes != nil && !micro, weak: true},
		{format: Milvus, sign: has(v.ServerName) && address},
		{format: kitex, sign: address && network || bare, weak: bare},
		{format: TRPC, sign: address && named || bare, weak: true},
		{format: Dubbo, sign: has(v.ServiceName) && has(v.Host)},
		{format: SkyDNS, sign: !has(v.ServiceName) && (has(v.Host) || has(v.Text) || has(v.Mail)), weak: true},
		{format: TiDB, sign: has(v.IP) && (has(v.ListeningPort) || has(v.StatusPort))},
		{format: Vulcand, sign: has(v.URL), weak: true},
		{format: Patroni, sign: has(v.ConnURL) && (has(v.State) || has(v.Role))},
	}
}

// nodesHaveAddress tells go-micro's nodes from APISIX', which have a host.
func (v sniffed) nodesHaveAddress() bool {
	var nodes []struct{ Address json.RawMessage }
	if !opens(v.Nodes, "[{") || json.Unmarshal(v.Nodes, &nodes) != nil {
		return false
	}
	return has(nodes[0].Address)
}

// noEndpoints reports a list that is there and empty.
func (v sniffed) noEndpoints() bool {
	return opens(v.Endpoints, "[]") || string(v.Endpoints) == "null"
}

// has reports that a field is there and says something.
func has(raw json.RawMessage) bool {
	text := string(raw)
	return text != "" && text != "null" && text != `""`
}

// opens reports whether raw begins with opening, blanks aside.
func opens(raw json.RawMessage, opening string) bool {
	rest := string(raw)
	for _, c := range opening {
		rest = strings.TrimLeft(rest, " \t\r\n")
		if !strings.HasPrefix(rest, string(c)) {
			return false
		}
		rest = rest[1:]
	}
	return true
}
