"""Files as people have them, read as rows: whatever they are packed in, encoded in or written as.

Every command that reads data reads it here. What a file is, is told by its first bytes and never by
its name. What cannot be read is a ``ConfigError`` of one line: what it is, and what to do.
"""
