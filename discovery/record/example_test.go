package record_test

import (
	"fmt"

	"portside/discovery"
	"portside/discovery/record"
)

func ExampleDecoder_Decode() {
	d, err := record.New("/microservices/orders/", record.Options{Protocol: "http"})
	if err != nil {
		panic(err)
	}
	r, err := d.Decode("/microservices/orders/c0a80105",
		[]byte(`{"id":"c0a80105","name":"orders","metadata":{"weight":"20"},"endpoints":["http://10.0.0.5:8000","grpc://10.0.0.5:9000"]}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Format, r.Endpoints[0].Address, r.Endpoints[0].Weight)
	// Output: kratos 10.0.0.5:8000 0.2
}

func ExampleEncode() {
	w, err := record.Encode(record.Etcd, record.Registrant{
		Endpoint: discovery.Endpoint{Address: "10.0.0.5:8080", Weight: 2},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(w.Value)
	fmt.Println(w.Draining)
	// Output:
	// {"Op":0,"Addr":"10.0.0.5:8080","Metadata":{"weight":2}}
	// {"Op":0,"Addr":"10.0.0.5:8080","Metadata":{"draining":true,"weight":2}}
}
