package haproxy

import (
	"strings"

	"evenkeel/internal/model"
)

var otherKeywords = []*keyword{
	{Name: "group", Args: "NAME [users USER,…]", Sections: secUserlist, Help: "a group of users", Parse: parseGroup},
	{Name: "user", Args: "NAME password HASH | insecure-password TEXT [groups GROUP,…]", Sections: secUserlist, Help: "a user", Parse: parseUser},
	px("email-alert mailers", "NAME", secAny, "who sends mail", parseEmailAlert),
	px("email-alert from", "ADDRESS", secAny, "the sender of mail", parseEmailAlert),
	px("email-alert to", "ADDRESS", secAny, "the receiver of mail", parseEmailAlert),
	px("email-alert myhostname", "NAME", secAny, "this host's name in mail", parseEmailAlert),
	px("email-alert level", "LEVEL", secAny, "the least severe event that is mailed", parseEmailAlert),
}

func (p *parser) openUserlist(words []word) {
	if len(words) < 2 {
		p.errorf(words[0].Pos, "write 'userlist NAME'", "'userlist' expects <name> as arguments.")
		p.section = secSkipped
		return
	}
	p.tooMany(words, 1)
	p.checkName("userlist", words[1])
	if old := p.cfg.Userlist(words[1].Text); old != nil {
		p.warnf(words[1].Pos, "give it another name", "ignoring duplicated userlist '%s', declared at %s:%d", old.Name, old.Pos.File, old.Pos.Line)
		p.section = secSkipped
		return
	}
	p.userlist = &model.Userlist{Pos: words[0].Pos, Name: words[1].Text}
	p.cfg.Userlists = append(p.cfg.Userlists, p.userlist)
}

func (p *parser) openHTTPErrors(words []word) {
	if len(words) < 2 {
		p.errorf(words[0].Pos, "write 'http-errors NAME'", "'http-errors' expects a name")
		p.section = secSkipped
		return
	}
	p.tooMany(words, 1)
	p.checkName("http-errors", words[1])
	for _, old := range p.cfg.HTTPErrors {
		if old.Name == words[1].Text {
			p.errorf(words[1].Pos, "give it another name", "http-errors section '%s' already defined at %s:%d", old.Name, old.Pos.File, old.Pos.Line)
		}
	}
	p.httpErrors = &model.HTTPErrors{Pos: words[0].Pos, Name: words[1].Text, Files: map[int]model.ErrorReply{}}
	p.cfg.HTTPErrors = append(p.cfg.HTTPErrors, p.httpErrors)
}

func parseGroup(p *parser, w []word) {
	v, ok := p.need(w, 1, "<name>")
	if !ok || !p.checkName("group", v) {
		return
	}
	g := model.UserGroup{Pos: w[0].Pos, Name: v.Text}
	for _, old := range p.userlist.Groups {
		if old.Name == g.Name {
			p.warnf(v.Pos, "give it another name", "ignoring duplicated group '%s' in userlist '%s'", g.Name, p.userlist.Name)
			return
		}
	}
	if len(w) > 2 {
		if w[2].Text != "users" || len(w) < 4 {
			p.errorf(w[2].Pos, "write 'users A,B'", "'group' only supports 'users' option.")
			return
		}
		g.Users = strings.Split(w[3].Text, ",")
	}
	if !p.tooMany(w, 3) {
		p.userlist.Groups = append(p.userlist.Groups, g)
	}
}

func parseUser(p *parser, w []word) {
	v, ok := p.need(w, 1, "<name>")
	if !ok {
		return
	}
	u := model.User{Pos: w[0].Pos, Name: v.Text}
	for _, old := range p.userlist.Users {
		if old.Name == u.Name {
			p.warnf(v.Pos, "give it another name", "ignoring duplicated user '%s' in userlist '%s'", u.Name, p.userlist.Name)
			return
		}
	}
	for i := 2; i < len(w); i += 2 {
		if i+1 >= len(w) {
			p.errorf(w[i].Pos, "", "'user %s' : '%s' expects a value", u.Name, w[i].Text)
			return
		}
		switch w[i].Text {
		case "password":
			if !strings.HasPrefix(w[i+1].Text, "$") && len(w[i+1].Text) != 13 {
				p.errorf(w[i+1].Pos, "make the hash with 'mkpasswd -m sha-256', or write insecure-password for clear text", "'%s' is no encrypted password that crypt(3) knows", w[i+1].Text)
				return
			}
			u.Password = w[i+1].Text
		case "insecure-password":
			u.Insecure = w[i+1].Text
		case "groups":
			u.Groups = strings.Split(w[i+1].Text, ",")
		default:
			p.errorf(w[i].Pos, closest(w[i].Text, []string{"password", "insecure-password", "groups"}), "'user' only supports 'password', 'insecure-password' and 'groups' options (got '%s')", w[i].Text)
			return
		}
	}
	if u.Password == "" && u.Insecure == "" {
		u.NoPassword = true
	}
	p.userlist.Users = append(p.userlist.Users, u)
}

func parseEmailAlert(p *parser, w []word) {
	v, ok := p.need(w, 2, "a value after '"+w[1].Text+"'")
	if !ok {
		return
	}
	old := p.proxy.Backend.EmailAlert
	a := &model.EmailAlert{Pos: w[0].Pos, Level: 1}
	if old != nil {
		*a = *old
	}
	switch w[1].Text {
	case "mailers":
		a.Mailers = v.Text
	case "from":
		a.From = v.Text
	case "to":
		a.To = v.Text
	case "myhostname":
		a.MyHostname = v.Text
	case "level":
		if !p.oneOf("email-alert level", v, logLevels...) {
			return
		}
		a.Level = index(logLevels, v.Text)
	}
	p.proxy.Backend.EmailAlert = a
	p.once("email-alert", w[0].Pos, "take the email-alert lines out until mailers are supported", "'email-alert' is read, but mail is not sent yet")
}
