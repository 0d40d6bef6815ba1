package haproxy

import (
	"errors"
	"io/fs"

	"evenkeel/internal/model"
)

// readAux reads a file that a line names: the body of a reply, or a whole
// message.
func (p *parser) readAux(w word) ([]byte, error) {
	name := p.path(w.Text)
	data, err := p.opt.ReadFile(name)
	if err == nil {
		return data, nil
	}
	cure := ""
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		cure = "check the path; it counts from the directory that the program is started in"
	}
	return nil, model.Diagnostic{Pos: w.Pos, Severity: model.Error, Cure: cure, Message: "error opening file '" + name + "': " + err.Error()}
}
