package dlopen

// Load fills in the functions by name, all or none.
func (l *Lib) Load(funcs map[string]*Func) error {
	for name, f := range funcs {
		p, err := l.Sym(name)
		if err != nil {
			return err
		}
		*f = p
	}
	return nil
}
