"""What was answered, kept in SQLite files."""
