"""What was answered, kept in SQLite files, and the log of the program's own work."""
