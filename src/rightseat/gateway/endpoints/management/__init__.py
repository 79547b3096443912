"""`/v0/management/*`: the gateway for whoever runs it, behind a key of its own. No secret leaves here, masked or not at all."""
