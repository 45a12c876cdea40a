//! What the database's troubles must not do.
