"""Messages: mail that is queued with its cause and sent by the worker."""
