"""What a deploy asks of a project's Python."""
