module towpath.test/vault

go 1.25

require (
	github.com/hashicorp/vault v1.21.4
	github.com/hashicorp/vault-plugin-auth-kubernetes v0.23.1
	github.com/hashicorp/vault-plugin-secrets-kv v0.25.0
	github.com/hashicorp/vault/sdk v0.20.0
)

// The release is built with the SDK of its own tree, which is this one.
replace github.com/hashicorp/vault/sdk => github.com/hashicorp/vault/sdk v0.20.0
