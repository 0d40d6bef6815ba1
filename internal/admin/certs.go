package admin

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"fmt"
	"strings"

	"evenkeel/internal/model"
)

// Certificates are those of the listeners. A change is staged by Set, and
// takes effect with Commit.
type Certificates interface {
	// List gives the files in use, and those with a staged change.
	List() (committed, staged []string)
	// Get gives the chain of a file, leaf first; a staged one where staged is
	// set. nil: there is none.
	Get(file string, staged bool) []*x509.Certificate
	// Set stages the PEM text for a file that is in use; created says that no
	// change of it was staged before.
	Set(file string, pem []byte) (created bool, err error)
	Commit(file string) error
	Abort(file string) error
	// Lists gives the crt-list files, List the lines of one.
	CRTLists() []string
	CRTList(file string) ([]string, bool)
}

func certificateCommands() []Command {
	const admin = model.LevelAdmin
	return []Command{
		{Words: []string{"show", "ssl", "cert"}, Args: "[<certfile>]", Level: admin, Help: "display the SSL certificates used in memory, or the details of a file", Run: showCert},
		{Words: []string{"set", "ssl", "cert"}, Args: "<certfile> <payload>", Level: admin, Help: "replace a certificate file", Run: setCert},
		{Words: []string{"commit", "ssl", "cert"}, Args: "<certfile>", Level: admin, Help: "commit a certificate file", Run: commitCert},
		{Words: []string{"abort", "ssl", "cert"}, Args: "<certfile>", Level: admin, Help: "abort a transaction for a certificate file", Run: abortCert},
		{Words: []string{"show", "ssl", "crt-list"}, Args: "[-n] [<list>]", Level: admin, Help: "show the list of crt-lists or the content of a crt-list file <list>", Run: showCRTList},
	}
}

func (c *Call) certificates() Certificates {
	if w, ok := c.Source.(WithCertificates); ok {
		return w.Certificates()
	}
	return nil
}

func showCert(c *Call) {
	k := c.certificates()
	name, staged := strings.CutPrefix(c.Arg(0), "*")
	if name == "" {
		if k == nil {
			return
		}
		committed, waiting := k.List()
		if len(waiting) > 0 {
			c.WriteString("# transaction\n")
			for _, f := range waiting {
				c.Printf("*%s\n", f)
			}
		}
		c.WriteString("# filename\n")
		for _, f := range committed {
			c.Printf("%s\n", f)
		}
		return
	}
	var chain []*x509.Certificate
	if k != nil {
		chain = k.Get(name, staged)
	}
	if len(chain) == 0 {
		c.Fail("Can't display the certificate: Not found or the certificate is a bundle!")
		return
	}
	status := "Used"
	if staged {
		status = "Unused"
	}
	c.Printf("Filename: %s\nStatus: %s\n", c.Arg(0), status)
	x := chain[0]
	c.Printf("Serial: %s\n", serial(x))
	c.Printf("notBefore: %s\nnotAfter: %s\n", x.NotBefore.UTC().Format("Jan _2 15:04:05 2006 GMT"), x.NotAfter.UTC().Format("Jan _2 15:04:05 2006 GMT"))
	var names []string
	for _, d := range x.DNSNames {
		names = append(names, "DNS:"+d)
	}
	for _, ip := range x.IPAddresses {
		names = append(names, "IP Address:"+ip.String())
	}
	c.Printf("Subject Alternative Name: %s\n", strings.Join(names, ", "))
	c.Printf("Algorithm: %s\nSHA1 FingerPrint: %X\n", algorithm(x), sha1.Sum(x.Raw))
	c.Printf("Subject: %s\nIssuer: %s\n", slashes(x.Subject.String()), slashes(x.Issuer.String()))
	for i, y := range chain[1:] {
		c.Printf("Chain Subject: %s\nChain Issuer: %s\n", slashes(y.Subject.String()), slashes(y.Issuer.String()))
		if i > 16 {
			break
		}
	}
}

func serial(x *x509.Certificate) string {
	s := fmt.Sprintf("%X", x.SerialNumber)
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return s
}

// slashes turns CN=a,O=b into /O=b/CN=a.
func slashes(s string) string {
	parts := strings.Split(s, ",")
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString("/" + parts[i])
	}
	return b.String()
}

func algorithm(x *x509.Certificate) string {
	switch k := x.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return fmt.Sprintf("EC%d", k.Curve.Params().BitSize)
	case ed25519.PublicKey:
		return "ED25519"
	}
	return x.PublicKeyAlgorithm.String()
}

func setCert(c *Call) {
	file := c.Arg(0)
	if file == "" || !c.HasPayload {
		c.Fail("'set ssl cert expects a filename and a certificate as a payload")
		return
	}
	k := c.certificates()
	if k == nil {
		c.Fail("Can't replace a certificate which is not referenced by the configuration!\nCan't update %s!", file)
		return
	}
	created, err := k.Set(file, []byte(c.Payload))
	switch {
	case err != nil:
		c.Fail("%s\nCan't update %s!", err, file)
	case created:
		c.Note("Transaction created for certificate %s!", file)
	default:
		c.Note("Transaction updated for certificate %s!", file)
	}
}

func commitCert(c *Call) {
	file := c.Arg(0)
	if file == "" {
		c.Fail("'commit ssl cert expects a filename")
		return
	}
	k := c.certificates()
	if k == nil || !stagedFor(k, file) {
		c.Fail("No ongoing transaction! !\nCan't commit %s!", file)
		return
	}
	c.Printf("Committing %s", file)
	if err := k.Commit(file); err != nil {
		c.Printf("\n%s\nFailed!\n", err)
		return
	}
	c.WriteString(".\nSuccess!\n")
}

func stagedFor(k Certificates, file string) bool {
	_, staged := k.List()
	for _, f := range staged {
		if f == file {
			return true
		}
	}
	return false
}

func abortCert(c *Call) {
	file := c.Arg(0)
	if file == "" {
		c.Fail("'abort ssl cert' expects a filename")
		return
	}
	k := c.certificates()
	if k == nil || !stagedFor(k, file) {
		c.Fail("No ongoing transaction!")
		return
	}
	if err := k.Abort(file); err != nil {
		c.Fail("%s", err)
		return
	}
	c.Note("Transaction aborted for certificate '%s'!", file)
}

func showCRTList(c *Call) {
	k := c.certificates()
	args, numbered := c.Args, false
	if len(args) > 0 && args[0] == "-n" {
		args, numbered = args[1:], true
	}
	if len(args) == 0 {
		if k != nil {
			for _, f := range k.CRTLists() {
				c.Printf("%s\n", f)
			}
		}
		return
	}
	if k != nil {
		if lines, ok := k.CRTList(args[0]); ok {
			c.Printf("# %s\n", args[0])
			for i, l := range lines {
				if numbered {
					cert, rest, _ := strings.Cut(l, " ")
					l = fmt.Sprintf("%s:%d %s", cert, i+1, rest)
				}
				c.Printf("%s\n", strings.TrimRight(l, " "))
			}
			return
		}
	}
	c.Fail("didn't find the specified filename")
}
