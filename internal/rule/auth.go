package rule

type authCache struct{}

func newAuthCache() *authCache { return &authCache{} }
