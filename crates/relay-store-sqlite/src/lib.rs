//! Relay's store in one embedded SQLite file.
