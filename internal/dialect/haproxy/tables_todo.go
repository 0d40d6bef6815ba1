package haproxy

var globalKeywords, proxyKeywords, frontendKeywords, backendKeywords,
	timeoutKeywords, optionKeywords, checkKeywords, otherKeywords,
	tuneKeywords, harmlessKeywords, laterKeywords []*keyword

var bindKeywords, serverKeywords []*keyword
