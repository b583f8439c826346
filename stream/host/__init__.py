"""The process and its machine: settings, logs, signals, memory, descriptors, HTTP."""
