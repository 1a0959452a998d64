//! Readers of single attribute values.
