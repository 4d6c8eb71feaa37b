module github.com/oauthdb/oauthdb/bench

go 1.26.0

require github.com/oauthdb/oauthdb v0.0.0

replace github.com/oauthdb/oauthdb => ../
