"""An HTTP/1.1 server of our own: one state machine a connection, on llhttp."""
