"""`/v0/management/*`: management of the gateway, with a separate key. Secrets are masked or left out."""
