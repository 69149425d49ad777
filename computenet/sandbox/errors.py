class SandboxError(Exception):
    """The sandbox cannot start or go on. The message is one sentence that says what to do."""
