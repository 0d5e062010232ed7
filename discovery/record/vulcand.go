package record

// readVulcand reads {"URL":"http://…"}.
func readVulcand(in entry) (Reading, error) {
	var v struct{ URL loose }
	if err := in.parse(&v); err != nil {
		return Reading{}, err
	}
	return in.one(said{address: string(v.URL)})
}
