package failover

// control carries out one line of a person.
func (p *plane) control(line string) string { return line }
