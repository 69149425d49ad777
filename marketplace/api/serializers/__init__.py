"""What the API takes and answers, one file a concern. Requests are `Strict`; answers only render rows."""
