"""What is wrong with a checkpoint, said to whoever has it."""


class CheckpointError(ValueError):
    """The message says what was expected, what came and what to do."""
