"""What the command line does, one module a group of commands: its options, and what it prints."""
