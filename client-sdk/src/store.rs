//! Encrypted local database: MLS state, cursor, message and outbox change in one transaction.
